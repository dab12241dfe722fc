package io.peft4j.adapters.prompt;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import io.peft4j.AdaptedModel;
import io.peft4j.Checkpoints;
import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.RecipeException;
import io.peft4j.adapters.MethodCase;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** How the vectors of prompt tuning start. */
class PromptStartTest {
  private static final String WORDS = "bert.embeddings.word_embeddings.weight";

  private static final String TOKENIZER =
      """
      {"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
       "normalizer": null, "decoder": null, "pre_tokenizer": {"type": "Whitespace"},
       "post_processor": {"type": "TemplateProcessing",
         "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                    {"Sequence": {"id": "A", "type_id": 0}},
                    {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
         "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
         "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
                            "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}}},
       "model": {"type": "WordLevel", "unk_token": "[UNK]",
         "vocab": {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "is": 10, "it": 11, "good": 12}}}
      """;

  @TempDir Path work;

  private PretrainedModel bert(String tokenizer) throws IOException {
    Path source = Path.of("src/test/resources/methods/base-bert");
    for (String file : List.of("config.json", "model.safetensors")) {
      Files.copy(source.resolve(file), work.resolve(file));
    }
    if (!tokenizer.isEmpty()) {
      Files.writeString(work.resolve("tokenizer.json"), tokenizer, UTF_8);
    }
    return Checkpoints.open(work);
  }

  private static Tensor vectors(AdaptedModel model) {
    return model.graph().initializer("prompt_embeddings.default");
  }

  private static double[] row(Tensor tensor, int row) {
    int size = (int) tensor.dim(1);
    return Arrays.copyOfRange(tensor.toDoubles(), row * size, (row + 1) * size);
  }

  /** Special tokens count, as in PEFT; a short text is repeated, a long one cut. */
  @ParameterizedTest
  @CsvSource({"5,2 10 11 12 3", "3,2 10 11", "7,2 10 11 12 3 2 10", "4,2 10 11 12"})
  void aTextGivesTheEmbeddingsOfItsTokens(int count, String ids) throws IOException {
    AdaptedModel model = bert(TOKENIZER).attach(PromptTuning.text(count, "is it good"));
    Tensor words = model.base().graph().initializer(WORDS);
    int[] expected = Arrays.stream(ids.split(" ")).mapToInt(Integer::parseInt).toArray();
    assertThat(vectors(model).shape()).containsExactly(count, 32);
    for (int i = 0; i < count; i++) {
      assertThat(row(vectors(model), i)).isEqualTo(row(words, expected[i]));
    }
    model.save(work.resolve("adapter"));
    JsonNode config = MethodCase.json(work.resolve("adapter/adapter_config.json"));
    assertThat(config.get("prompt_tuning_init").asText()).isEqualTo("TEXT");
    assertThat(config.get("prompt_tuning_init_text").asText()).isEqualTo("is it good");
    assertThat(config.get("tokenizer_name_or_path"))
        .isEqualTo(config.get("base_model_name_or_path"));
    AdaptedModel read = model.base().load(work.resolve("adapter"));
    assertThat(vectors(read).contentEquals(vectors(model))).isTrue();
  }

  @Test
  void sampledVectorsAreRowsOfTheTableAndRandomOnesAreNormal() {
    Tensor words = MethodCase.bert().graph().initializer(WORDS);
    Tensor sampled = vectors(MethodCase.bert().attach(PromptTuning.tokens(4), 3));
    for (int i = 0; i < 4; i++) {
      double[] vector = row(sampled, i);
      boolean found = false;
      for (int word = 0; word < words.dim(0); word++) {
        found |= Arrays.equals(row(words, word), vector);
      }
      assertThat(found).as("vector " + i).isTrue();
    }
    PromptTuning random = new PromptTuning(200, PromptStart.RANDOM, "", List.of(), List.of());
    double[] all = vectors(MethodCase.bert().attach(random, 3)).toDoubles();
    double mean = Arrays.stream(all).average().orElseThrow();
    double square = Arrays.stream(all).map(x -> x * x).average().orElseThrow();
    assertThat(mean).isCloseTo(0, within(0.05));
    assertThat(square).isCloseTo(1, within(0.05));
  }

  @Test
  void withoutATokenizerATextIsRefused() throws IOException {
    PretrainedModel bert = bert("");
    assertThatThrownBy(() -> bert.attach(PromptTuning.text(3, "is it good")))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("has no tokenizer.json beside it");
    Graph graph = bert.graph();
    assertThatThrownBy(() -> PromptTuning.text(3, "is it good").attach(graph, "default", 0))
        .isInstanceOf(RecipeException.class)
        .hasMessageContaining("needs the model's tokenizer");
  }

  @Test
  void theTokenizerOfAnotherModelIsRefused() throws IOException {
    PretrainedModel bert = bert(TOKENIZER.replace("\"good\": 12", "\"good\": 5000"));
    assertThatThrownBy(() -> bert.attach(PromptTuning.text(5, "is it good")))
        .isInstanceOf(RecipeException.class)
        .hasMessageContaining("init_tokens holds 5000");
  }

  @Test
  void settingsThatContradictEachOtherAreRefused() {
    assertThatThrownBy(() -> PromptTuning.text(3, " "))
        .isInstanceOf(RecipeException.class)
        .hasMessageContaining("there is no init_text");
    assertThatThrownBy(() -> new PromptTuning(3, PromptStart.RANDOM, "is it", List.of(), List.of()))
        .isInstanceOf(RecipeException.class)
        .hasMessageContaining("was given init random");
  }
}

package io.peft4j.compress.prune;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.peft4j.Checkpoints;
import io.peft4j.PretrainedModel;
import io.peft4j.UnsupportedModelException;
import io.peft4j.data.Dataset;
import io.peft4j.data.Example;
import io.peft4j.data.TextTokenizer;
import io.peft4j.data.TextTokenizers;
import io.peft4j.graph.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The golden BERT's table has 99 rows, more than the tokenizers here have tokens. */
class VocabularyPruningTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final PretrainedModel BERT =
      Checkpoints.open(Path.of("src/test/resources/base-bert"));
  private static final Dataset TEXTS =
      new Dataset(
          "texts", List.of(Example.of("low lower lowest", "a"), Example.of("new lowest new", "b")));

  @TempDir private Path folder;

  private Path tokenizer(String model, String rest) throws IOException {
    return Files.writeString(
        folder.resolve("tokenizer.json"),
        """
        {"version": "1.0",
         "added_tokens": [
           {"id": 0, "content": "[PAD]", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true},
           {"id": 40, "content": "[CLS]", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true}],
         "normalizer": null,
         %s
         "padding": {"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": null,
                     "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
         "post_processor": {"type": "TemplateProcessing",
           "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                      {"Sequence": {"id": "A", "type_id": 0}}],
           "pair": [{"Sequence": {"id": "A", "type_id": 0}},
                    {"Sequence": {"id": "B", "type_id": 1}}],
           "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [40], "tokens": ["[CLS]"]}}},
         "model": %s}
        """
            .formatted(rest, model));
  }

  private Path wordPiece() throws IOException {
    return tokenizer(
        """
        {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
         "max_input_chars_per_word": 100,
         "vocab": {"[PAD]": 0, "[UNK]": 7, "high": 1, "low": 2, "##er": 3, "##est": 4, "new": 5,
                   "ne": 6, "l": 8, "##w": 9, "\u4e2d": 10, "##z": 11, "[CLS]": 40}}
        """,
        "\"pre_tokenizer\": {\"type\": \"Whitespace\"},");
  }

  private Path bpe() throws IOException {
    return tokenizer(
        """
        {"type": "BPE", "unk_token": null, "continuing_subword_prefix": null,
         "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "dropout": null,
         "vocab": {"[PAD]": 0, "l": 1, "o": 2, "w": 3, "e": 4, "r": 5, "s": 6, "t": 7, "n": 8,
                   "h": 9, "i": 10, "g": 11, "lo": 12, "low": 13, "er": 14, "es": 15, "est": 16,
                   "ne": 17, "new": 18, "hi": 19, "high": 20, "gh": 21, "[CLS]": 40},
         "merges": ["l o", "lo w", "h i", "g h", "e r", "e s", "es t", "n e", "ne w", "hi gh"]}
        """,
        "\"pre_tokenizer\": {\"type\": \"Whitespace\"},");
  }

  @Test
  void wordPieceKeepsWhatTextsNeedAndGivesTheSameScores() throws IOException {
    Path file = wordPiece();
    PrunedVocabulary pruned = VocabularyPruning.prune(BERT, file, TEXTS);
    JsonNode json = JSON.readTree(pruned.tokenizer());
    // "ne" and "high" are in no text, the Chinese sign neither; single ASCII letters stay
    assertThat(json.at("/model/vocab").toString())
        .isEqualTo(
            "{'[PAD]':0,'low':1,'##er':2,'##est':3,'new':4,'[UNK]':5,'l':6,'##w':7,'##z':8,'[CLS]':9}"
                .replace('\'', '"'));
    assertThat(json.at("/post_processor/special_tokens/[CLS]/ids/0").asInt()).isEqualTo(9);
    assertThat(json.at("/added_tokens/1/id").asInt()).isEqualTo(9);
    assertThat(pruned.kept().before()).isEqualTo(99);
    assertThat(pruned.kept().after()).isEqualTo(10);
    Tensor old = BERT.graph().initializer("bert.embeddings.word_embeddings.weight");
    Tensor rows = pruned.model().graph().initializer("bert.embeddings.word_embeddings.weight");
    assertThat(rows.contentEquals(old.selected(0, 0, 2, 3, 4, 5, 7, 8, 9, 11, 40))).isTrue();
  }

  @Test
  void bytePairsKeepTheMergesThatTheirTokensPassThrough() throws IOException {
    Path file = bpe();
    PrunedVocabulary pruned = VocabularyPruning.prune(BERT, file, TEXTS);
    JsonNode json = JSON.readTree(pruned.tokenizer());
    assertThat(json.at("/model/merges").toString())
        .isEqualTo("['l o','lo w','e r','e s','es t','n e','ne w']".replace('\'', '"'));
    assertThat(json.at("/model/vocab").has("high")).isFalse();
    assertThat(json.at("/model/vocab").has("es")).isTrue();
    Path written =
        Files.writeString(
            Files.createDirectory(folder.resolve("new")).resolve("tokenizer.json"),
            pruned.tokenizer());
    try (TextTokenizer before = TextTokenizers.open(file, 64);
        TextTokenizer after = TextTokenizers.open(written, 64)) {
      assertThat(before.encode("high", null).ids()).hasSize(2);
      assertThat(after.encode("high", null).ids()).hasSize(5); // spelled
      assertThat(after.encode("lowest", null).ids()).hasSize(3);
    }
  }

  @Test
  void unigramKeepsTheUnknownPiece() throws IOException {
    Path file =
        tokenizer(
            """
            {"type": "Unigram", "unk_id": 2, "byte_fallback": false,
             "vocab": [["[PAD]", 0.0], ["high", -3.0], ["<unk>", 0.0], ["low", -2.0],
                       ["lowest", -4.0], ["er", -2.5], ["new", -2.0], ["n", -9.0]]}
            """,
            "\"pre_tokenizer\": {\"type\": \"Whitespace\"},");
    PrunedVocabulary pruned = VocabularyPruning.prune(BERT, file, TEXTS);
    JsonNode json = JSON.readTree(pruned.tokenizer());
    assertThat(json.at("/model/unk_id").asInt()).isEqualTo(1);
    assertThat(json.at("/model/vocab")).hasSize(7);
    assertThat(json.at("/model/vocab/1/0").asText()).isEqualTo("<unk>");
  }

  @Test
  void scoresOfTokensGoWithTheirRows() throws IOException {
    PretrainedModel gpt2 = Checkpoints.open(Path.of("src/test/resources/onnx/gpt2/model.onnx"));
    PrunedVocabulary pruned = VocabularyPruning.prune(gpt2, bpe(), TEXTS);
    assertThat(pruned.kept().after()).isLessThan(pruned.kept().before());
    assertThat(pruned.after().flops()).isLessThan(pruned.before().flops());
  }

  @Test
  void tokenizerOfAnotherKindIsRefused() throws IOException {
    Path file = tokenizer("{\"type\": \"Other\", \"vocab\": {}}", "");
    assertThatThrownBy(() -> VocabularyPruning.prune(BERT, file, TEXTS))
        .isInstanceOf(UnsupportedModelException.class)
        .hasMessageContaining("a vocabulary of kind Other cannot be pruned");
  }
}

package io.peft4j.adapters.extract;

import static io.peft4j.adapters.MethodCase.assertClose;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.AdaptedModel;
import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.RecipeException;
import io.peft4j.adapters.MethodCase;
import io.peft4j.adapters.extract.LoraExtraction.Extracted;
import io.peft4j.adapters.extract.LoraExtraction.ModuleError;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.math.Svd;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import java.util.function.Predicate;
import java.util.stream.Stream;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class LoraExtractionTest {
  private static final LoraExtraction WHOLE = new LoraExtraction(null, 1.0);

  @TempDir Path folder;

  /** What can be merged, and changes more than norms. */
  static Stream<String> mergeable() {
    return MethodCase.peftCases()
        .filter(name -> MethodCase.peft(name).io().containsKey("logits_merged"))
        .filter(name -> !name.startsWith("ln_tuning"));
  }

  @ParameterizedTest
  @MethodSource("mergeable")
  void ofFullRankItDoesWhatTheAdapterDid(String name) {
    MethodCase golden = MethodCase.peft(name);
    Extracted extracted = WHOLE.of(golden.adapted());
    assertThat(extracted.error()).isLessThan(1e-6);
    Path saved = folder.resolve("lora");
    extracted.model().save(saved);
    assertThat(MethodCase.json(saved.resolve("adapter_config.json")).get("peft_type").asText())
        .isEqualTo("LORA");
    Map<String, Tensor> outputs =
        MethodCase.run(golden.base().load(saved).graph(), golden.inputs());
    assertClose("logits", outputs.get("logits"), golden.io().get("logits_merged"), 2e-5, 0);
  }

  @Test
  void loraOfItsOwnRankIsMetExactly() {
    Extracted extracted = new LoraExtraction(4, null).of(MethodCase.peft("lora-qv").adapted());
    assertThat(extracted.modules()).hasSize(4).allMatch(module -> module.error() < 1e-6);
  }

  @Test
  void aSmallerRankLeavesTheErrorOfTheSingularValuesLeftOut() {
    AdaptedModel adapted = MethodCase.peft("lora-qv").adapted();
    ModelDifference difference = ModelDifference.of(adapted.adapter());
    Extracted extracted = new LoraExtraction(1, null).of(adapted);
    for (ModuleError module : extracted.modules()) {
      WeightChange change =
          difference.changes().stream()
              .filter(c -> c.path().equals(module.path()))
              .findFirst()
              .orElseThrow();
      double[] singular = Svd.of(change.update()).singular();
      double left = 0;
      double all = 0;
      for (int i = 0; i < singular.length; i++) {
        all += singular[i] * singular[i];
        left += i < 1 ? 0 : singular[i] * singular[i];
      }
      assertThat(module.error()).isCloseTo(Math.sqrt(left / all), within());
      assertThat(module.norm()).isCloseTo(Math.sqrt(all), within());
      assertThat(module.rank()).isEqualTo(1);
    }
  }

  private static Offset<Double> within() {
    return Offset.offset(1e-6);
  }

  @Test
  void theEnergyDecidesTheRanks() {
    AdaptedModel adapted = MethodCase.peft("hira").adapted();
    Extracted much = new LoraExtraction(null, 0.99).of(adapted);
    Extracted little = new LoraExtraction(null, 0.5).of(adapted);
    assertThat(much.modules()).allMatch(module -> module.error() <= Math.sqrt(0.01) + 1e-6);
    assertThat(little.modules()).allMatch(module -> module.error() <= Math.sqrt(0.5) + 1e-6);
    assertThat(little.modules().get(0).rank()).isLessThan(much.modules().get(0).rank());
    little.model().save(folder.resolve("little"));
    assertThat(MethodCase.bert().load(folder.resolve("little")).adapter().targets())
        .hasSize(little.modules().size());
  }

  /** Every kind of weight changed: linear layers, tables, norms, biases and the classifier. */
  @Test
  void theDifferenceOfTwoCheckpointsIsLora() {
    PretrainedModel base = MethodCase.bert();
    PretrainedModel tuned = tuned(base, name -> true);
    Extracted extracted = WHOLE.of(base, tuned);
    assertThat(extracted.whole()).contains("classifier");
    extracted.model().save(folder.resolve("lora"));
    Map<String, Tensor> inputs = MethodCase.peft("lora-qv").inputs();
    assertClose(
        "logits",
        MethodCase.run(base.load(folder.resolve("lora")).graph(), inputs).get("logits"),
        MethodCase.run(tuned.graph(), inputs).get("logits"),
        1e-5,
        0);
  }

  @Test
  void onlyWhatDiffersIsATarget() {
    PretrainedModel base = MethodCase.bert();
    PretrainedModel tuned = tuned(base, name -> name.endsWith("query.weight"));
    Extracted extracted = new LoraExtraction(3, null).of(base, tuned);
    assertThat(extracted.modules())
        .extracting(ModuleError::path)
        .containsExactly(
            "bert.encoder.layer.0.attention.self.query",
            "bert.encoder.layer.1.attention.self.query");
    assertThat(extracted.modules()).allMatch(module -> module.error() > 0.1);
    assertThat(extracted.whole()).isEmpty();
  }

  private static PretrainedModel tuned(PretrainedModel base, Predicate<String> which) {
    Random random = new Random(3);
    GraphEditor editor = base.graph().edit();
    for (String name : base.graph().parameters()) {
      if (which.test(name)) {
        Tensor weight = base.graph().initializer(name);
        double[] values = weight.toDoubles();
        Arrays.setAll(values, i -> values[i] + 0.05 * random.nextGaussian());
        editor.initializer(name, Tensor.ofDoubles(weight.shape(), values).cast(weight.dtype()));
      }
    }
    return new PretrainedModel(base.checkpoint().withGraph(editor.build()));
  }

  @Test
  void whatCannotBeExtractedSaysWhy() {
    PretrainedModel base = MethodCase.bert();
    LoraExtraction one = new LoraExtraction(1, null);
    assertThatThrownBy(() -> one.of(base, MethodCase.bert()))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("no weight differs");
    assertThatThrownBy(() -> one.of(base, MethodCase.peft("lora-gpt2").base()))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("two checkpoints of one model");
    assertThatThrownBy(() -> one.of(MethodCase.peft("ln_tuning").adapted()))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("kept whole");
    assertThatThrownBy(() -> one.of(MethodCase.peft("lily").adapted()))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("cannot be merged");
  }

  @Test
  void rankAndEnergyAreChecked() {
    assertThatThrownBy(() -> new LoraExtraction(null, null)).isInstanceOf(RecipeException.class);
    assertThatThrownBy(() -> new LoraExtraction(1, 0.9)).isInstanceOf(RecipeException.class);
    assertThatThrownBy(() -> new LoraExtraction(0, null)).isInstanceOf(RecipeException.class);
    assertThatThrownBy(() -> new LoraExtraction(null, 1.1)).isInstanceOf(RecipeException.class);
  }
}

package io.peft4j.adapters.lora;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.peft4j.AdaptedModel;
import io.peft4j.PeftException;
import io.peft4j.RecipeException;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.MethodCase;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.torch.TorchParameters;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LoraTest {
  @Test
  void theAdaptedModelStartsAsTheBaseModel() {
    MethodCase golden = MethodCase.peft("lora-ffn");
    AdaptedModel adapted = MethodCase.bert().attach(Lora.rank(3));
    Tensor logits = MethodCase.run(adapted.graph(), golden.inputs()).get("logits");
    MethodCase.assertClose("logits", logits, golden.io().get("logits_base"), 1e-6, 0);
    assertThat(adapted.graph().trainableCount()).isEqualTo(2L * 2 * 3 * (32 + 72));
  }

  @Test
  void everyGradientAgreesWithFiniteDifferencesInDoublePrecision() {
    MethodCase golden = MethodCase.peft("lora-ffn");
    AdaptedModel adapted =
        MethodCase.bert()
            .attach(Lora.rank(2).on(Targets.allLinear()).modulesToSave(List.of("classifier")));
    Graph graph = withRandomParameters(adapted);
    CompileOptions options = CompileOptions.evaluation().withPrecision(DType.FLOAT64);
    Map<String, Tensor> batch = golden.labelled();
    try (TorchProgram program = MethodCase.withLoss(graph, options)) {
      program.backward(batch, "loss");
      TorchParameters parameters = program.parameters();
      Random random = new Random(5);
      for (String name : parameters.names()) {
        Tensor start = parameters.value(name);
        double[] gradient = parameters.gradient(name).toDoubles();
        for (int probe = 0; probe < 4; probe++) {
          int i = random.nextInt(gradient.length);
          double slope =
              (loss(program, name, start, i, 1e-5, batch)
                      - loss(program, name, start, i, -1e-5, batch))
                  / 2e-5;
          assertThat(gradient[i]).as(name).isCloseTo(slope, within(1e-8 + 1e-6 * Math.abs(slope)));
        }
        parameters.set(name, start);
      }
    }
  }

  private static Graph withRandomParameters(AdaptedModel adapted) {
    Random random = new Random(3);
    var editor = adapted.graph().edit();
    for (String name : adapted.graph().trainable()) {
      Tensor start = adapted.graph().initializer(name);
      float[] values = new float[(int) start.size()];
      for (int i = 0; i < values.length; i++) {
        values[i] = (float) (0.1 * random.nextGaussian());
      }
      editor.initializer(name, Tensor.ofFloats(start.shape(), values));
    }
    return editor.build();
  }

  private static double loss(
      TorchProgram program,
      String name,
      Tensor start,
      int index,
      double step,
      Map<String, Tensor> batch) {
    double[] values = start.toDoubles();
    values[index] += step;
    program.parameters().set(name, Tensor.ofDoubles(start.shape(), values));
    return program.run(batch).get("loss").item();
  }

  @Test
  void oneWrongNameAmongRightOnesIsAnErrorThatListsTheNearest() {
    assertThatThrownBy(
            () ->
                MethodCase.bert().attach(Lora.rank(2).on(Targets.named(List.of("query", "valeu")))))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("'valeu'")
        .hasMessageContaining("'value'");
  }

  @Test
  void anExpressionThatMatchesNothingIsAnError() {
    assertThatThrownBy(
            () -> MethodCase.bert().attach(Lora.rank(2).on(Targets.matching(".*layer\\.9\\..*"))))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("matches no module");
  }

  @Test
  void aNormAsATargetIsRefusedByPath() {
    assertThatThrownBy(
            () -> MethodCase.bert().attach(Lora.rank(2).on(Targets.named(List.of("LayerNorm")))))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("LayerNorm' is no linear layer");
  }

  @Test
  void valuesOutOfRangeAreRefusedByField() {
    assertThatThrownBy(() -> Lora.rank(0))
        .isInstanceOf(RecipeException.class)
        .hasMessage("rank must be at least 1, was 0");
    assertThatThrownBy(() -> Lora.rank(4).dropout(1)).hasMessageContaining("dropout must be");
    assertThatThrownBy(() -> Lora.rank(4).alpha(-1)).hasMessageContaining("alpha must be");
  }

  @Test
  void aNewAdapterIsReadBackAsItWasSaved(@TempDir Path folder) {
    AdaptedModel adapted = MethodCase.bert().attach(Lora.rank(2).alpha(5).dropout(0.25), 11);
    adapted.save(folder.resolve("a"));
    AdaptedModel read = MethodCase.bert().load(folder.resolve("a"));
    assertThat(read.adapter().targets()).isEqualTo(adapted.adapter().targets());
    Lora lora = (Lora) read.adapter().method();
    assertThat(lora.rank()).isEqualTo(2);
    assertThat(lora.alpha()).isEqualTo(5);
    assertThat(lora.dropout()).isEqualTo(0.25);
    for (String name : adapted.graph().trainable()) {
      assertThat(read.graph().initializer(name).contentEquals(adapted.graph().initializer(name)))
          .isTrue();
    }
    assertThat(MethodCase.json(folder.resolve("a/adapter_config.json")).get("task_type").asText())
        .isEqualTo("SEQ_CLS");
  }
}

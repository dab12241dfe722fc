package io.peft4j.adapters;

import static io.peft4j.adapters.MethodCase.assertClose;
import static org.assertj.core.api.Assertions.assertThat;

import io.peft4j.AdaptedModel;
import io.peft4j.Checkpoints;
import io.peft4j.MergedModel;
import io.peft4j.PretrainedModel;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.freeze.FreezeMask;
import io.peft4j.adapters.lora.Lora;
import io.peft4j.engine.InferenceEngines;
import io.peft4j.engine.OutputDifference;
import io.peft4j.engine.ProbeInputs;
import io.peft4j.engine.Program;
import io.peft4j.graph.Tensor;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Adapters on ONNX imports: merged, exported and run elsewhere, and read from PEFT's folders. */
class OnnxAdapterTest {
  private static final Path ONNX = Path.of("../loaders/src/test/resources/onnx");
  private static final double TOLERANCE = 1e-4;

  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(
      strings = {
        "bert-dynamo",
        "bert-fp16-weights",
        "bert-nofold",
        "bert-opset14",
        "bert-opset17",
        "distilbert",
        "gpt2",
        "llama",
        "mlp784",
        "roberta",
        "t5-encoder",
        "vit"
      })
  void mergedExportedAndRunElsewhereItSaysTheSame(String name) {
    PretrainedModel base = Checkpoints.open(ONNX.resolve(name).resolve("model.onnx"));
    for (AdapterMethod method : List.of(Lora.rank(4).on(Targets.feedForward()), FreezeMask.all())) {
      AdaptedModel adapted = moved(base.attach(method));
      MergedModel merged = adapted.merge();
      Path file = folder.resolve(name + "-" + method.name() + ".onnx");
      merged.model().save(file);
      Map<String, Tensor> probe = ProbeInputs.of(base.graph());
      Map<String, Tensor> expected = MethodCase.run(merged.model().graph(), probe);
      try (Program runtime = InferenceEngines.named(InferenceEngines.ONNX_RUNTIME).open(file)) {
        assertThat(OutputDifference.largest(expected, runtime.run(probe))).isLessThan(TOLERANCE);
      }
      assertThat(OutputDifference.largest(expected, MethodCase.run(base.graph(), probe)))
          .as("the adapter must matter")
          .isGreaterThan(1e-3);
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"lora-ffn", "lora-qv", "lora-rslora", "lora-rank-pattern", "lora-modules_to_save"})
  void peftsAdaptersFindTheirLayersInAnExport(String name) {
    Path export = folder.resolve("bert.onnx");
    MethodCase.bert().save(export);
    MethodCase golden = MethodCase.peft(name);
    AdaptedModel adapted = Checkpoints.open(export).load(golden.folder());
    Map<String, Tensor> outputs = MethodCase.run(adapted.graph(), golden.inputs());
    assertClose("logits", outputs.get("logits"), golden.io().get("logits"), 1e-5, 0);
  }

  /** The model with every trained value moved at random. */
  private static AdaptedModel moved(AdaptedModel model) {
    Random random = new Random(11);
    Map<String, Tensor> values = new LinkedHashMap<>();
    for (String name : model.graph().trainable()) {
      float[] numbers = model.graph().initializer(name).toFloats();
      for (int i = 0; i < numbers.length; i++) {
        numbers[i] += 0.05f * (float) random.nextGaussian();
      }
      values.put(name, Tensor.ofFloats(model.graph().initializer(name).shape(), numbers));
    }
    model.update(values);
    return model;
  }
}

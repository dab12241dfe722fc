package io.peft4j.adapters.onnxruntime;

import static io.peft4j.adapters.MethodCase.assertClose;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.djl.engine.Engine;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoraAdapter;
import ai.onnxruntime.OrtSession;
import io.peft4j.AdaptedModel;
import io.peft4j.PretrainedModel;
import io.peft4j.UnsupportedModelException;
import io.peft4j.adapters.MethodCase;
import io.peft4j.engine.OutputDifference;
import io.peft4j.graph.Tensor;
import java.nio.FloatBuffer;
import java.nio.LongBuffer;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Adapters switched by ONNX Runtime itself. */
class SwitchableLoraTest {
  private static final Path WEIGHTED = Path.of("src/test/resources/methods/weighted");

  @TempDir Path folder;

  private static Map<String, AdaptedModel> adapters() {
    Map<String, AdaptedModel> adapters = new LinkedHashMap<>();
    adapters.put("a", MethodCase.bert().load(WEIGHTED.resolve("a"))); // rank 4
    adapters.put("c", MethodCase.bert().load(WEIGHTED.resolve("c"))); // rank 2
    adapters.put("head", MethodCase.peft("lora-ffn").adapted()); // other targets, a classifier
    return adapters;
  }

  @Test
  void oneSessionSwitchesBetweenAdapters() throws OrtException {
    PretrainedModel base = MethodCase.bert();
    Map<String, AdaptedModel> adapters = adapters();
    Map<String, Tensor> inputs = MethodCase.peft("lora-ffn").inputs();
    List<String> files = SwitchableLora.of(base, adapters).write(folder.resolve("out"));
    assertThat(files)
        .containsExactly("model.onnx", "a.onnx_adapter", "c.onnx_adapter", "head.onnx_adapter");
    Engine.getEngine("OnnxRuntime"); // cannot start where the environment is there already
    OrtEnvironment environment = OrtEnvironment.getEnvironment();
    String model = folder.resolve("out/model.onnx").toString();
    try (OrtSession session = environment.createSession(model)) {
      Tensor plain = MethodCase.run(base.graph(), inputs).get("logits");
      assertClose("base", run(environment, session, inputs, null), plain, 1e-5, 0);
      for (String name : List.of("a", "c", "head", "a")) {
        Tensor expected = MethodCase.run(adapters.get(name).graph(), inputs).get("logits");
        assertThat(difference(expected, plain)).isGreaterThan(1e-2);
        String file = folder.resolve("out/" + name + ".onnx_adapter").toString();
        try (OrtLoraAdapter adapter = OrtLoraAdapter.create(file)) {
          assertClose(name, run(environment, session, inputs, adapter), expected, 1e-5, 0);
        }
        assertClose("base", run(environment, session, inputs, null), plain, 1e-5, 0);
      }
    }
  }

  private static double difference(Tensor one, Tensor other) {
    return OutputDifference.largest(one, other);
  }

  private static Tensor run(
      OrtEnvironment environment,
      OrtSession session,
      Map<String, Tensor> inputs,
      @Nullable OrtLoraAdapter adapter)
      throws OrtException {
    Map<String, OnnxTensor> given = new HashMap<>();
    try (OrtSession.RunOptions options = new OrtSession.RunOptions()) {
      for (Map.Entry<String, Tensor> entry : inputs.entrySet()) {
        Tensor tensor = entry.getValue();
        given.put(
            entry.getKey(),
            OnnxTensor.createTensor(
                environment, LongBuffer.wrap(tensor.toLongs()), tensor.shape()));
      }
      if (adapter != null) {
        options.addActiveLoraAdapter(adapter);
      }
      try (OrtSession.Result result = session.run(given, options)) {
        OnnxTensor logits = (OnnxTensor) result.get("logits").orElseThrow();
        FloatBuffer values = logits.getFloatBuffer();
        float[] floats = new float[values.remaining()];
        values.get(floats);
        return Tensor.ofFloats(logits.getInfo().getShape(), floats);
      }
    } finally {
      given.values().forEach(OnnxTensor::close);
    }
  }

  @Test
  void whatCannotBeSwitchedIsRefused() {
    for (String name : List.of("dora-bert", "ia3-bert", "lora-lora_bias", "lora-embedding")) {
      AdaptedModel adapted = MethodCase.peft(name).adapted();
      assertThatThrownBy(() -> SwitchableLora.of(MethodCase.bert(), Map.of(name, adapted)))
          .isInstanceOf(UnsupportedModelException.class)
          .hasMessageContaining(name);
    }
  }
}

package io.peft4j.loaders;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.peft4j.engine.Program;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;

/** A golden case: a model, inputs, and what the reference library computes from them. */
public record GoldenCase(
    Path folder, Map<String, Tensor> inputs, Map<String, Tensor> outputs, JsonNode meta) {

  /**
   * Reads a case.
   *
   * @param kind {@code families} or {@code onnx}
   */
  public static GoldenCase of(String kind, String name) throws IOException {
    Path folder = Path.of("src/test/resources", kind, name);
    return new GoldenCase(
        folder,
        SafeTensors.read(folder.resolve("inputs.safetensors")).tensors(),
        SafeTensors.read(folder.resolve("outputs.safetensors")).tensors(),
        new ObjectMapper().readTree(folder.resolve("meta.json").toFile()));
  }

  /**
   * By how much a program's outputs are off, as a multiple of the tolerance, by name; all outputs
   * of the case are compared, at the positions that count.
   */
  public Map<String, Double> errors(Program program) {
    Map<String, Tensor> actual = program.run(inputs);
    Map<String, Double> errors = new TreeMap<>();
    outputs.forEach((name, expected) -> errors.put(name, error(name, expected, actual.get(name))));
    return errors;
  }

  private double error(String name, Tensor expected, Tensor actual) {
    if (actual == null || !actual.toString().equals(expected.toString())) {
      throw new AssertionError(name + " is " + actual + ", expected " + expected);
    }
    double atol = meta.at("/tolerance/atol").asDouble();
    double rtol = meta.at("/tolerance/rtol").asDouble();
    boolean masked = meta.at("/compare/" + name + "/positions").asText().equals("attention_mask");
    long[] mask = masked ? inputs.get("attention_mask").toLongs() : new long[] {1};
    float[] a = expected.toFloats();
    float[] b = actual.cast(DType.FLOAT32).toFloats();
    int group = a.length / mask.length;
    double worst = 0;
    for (int i = 0; i < a.length; i++) {
      if (mask[i / group] == 1) {
        double ratio = Math.abs(a[i] - b[i]) / (atol + rtol * Math.abs(a[i]));
        worst = Double.isNaN(ratio) ? Double.POSITIVE_INFINITY : Math.max(worst, ratio);
      }
    }
    return worst;
  }
}

package io.peft4j.engine;

import io.peft4j.PeftException;
import io.peft4j.graph.DType;
import io.peft4j.graph.Dim;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.site.EmbeddingSite;
import io.peft4j.site.Sites;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/** Makes inputs that a graph can be run on to compare it with another. */
public final class ProbeInputs {
  private static final int BATCH = 3;
  private static final int LENGTH = 12;

  private ProbeInputs() {}

  /**
   * Inputs for every required input of a graph: random ids within the embedding that they pick
   * from, masks that pad the last rows, normal numbers for floating point. The same each time.
   */
  public static Map<String, Tensor> of(Graph graph) {
    Sites sites = Sites.of(graph);
    Random random = new Random(20_24);
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    for (Value input : graph.inputs()) {
      if (!graph.initializers().containsKey(input.name())) {
        inputs.put(input.name(), tensor(input, sites, random));
      }
    }
    return inputs;
  }

  private static Tensor tensor(Value input, Sites sites, Random random) {
    List<Dim> dims = input.shape();
    DType dtype = input.dtype();
    if (dims == null || dtype == null) {
      throw new PeftException("input '" + input.name() + "' has no declared type or rank");
    }
    long[] shape = new long[dims.size()];
    for (int i = 0; i < shape.length; i++) {
      Dim dim = dims.get(i);
      shape[i] = dim.isFixed() ? dim.size() : i == 0 ? BATCH : LENGTH;
    }
    int size = Math.toIntExact(Tensor.elements(shape));
    if (dtype.isFloat()) {
      float[] values = new float[size];
      for (int i = 0; i < size; i++) {
        values[i] = (float) random.nextGaussian();
      }
      return Tensor.ofFloats(shape, values).cast(dtype);
    }
    long entries =
        sites.embeddings().stream()
            .filter(e -> e.indices().equals(input.name()))
            .mapToLong(EmbeddingSite::entries)
            .min()
            .orElse(2);
    boolean mask = input.name().contains("mask");
    long[] values = new long[size];
    for (int i = 0; i < size; i++) {
      long column = shape.length == 2 ? i % shape[1] : 0;
      long row = shape.length == 2 ? i / shape[1] : 0;
      values[i] =
          mask ? (column + 2 * row < shape[1] ? 1 : 0) : random.nextInt(Math.toIntExact(entries));
    }
    return Tensor.ofLongs(shape, values).cast(dtype);
  }
}

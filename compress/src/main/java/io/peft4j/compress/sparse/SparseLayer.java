package io.peft4j.compress.sparse;

import io.peft4j.PeftException;
import io.peft4j.adapter.Targets;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.math.Matrix;
import io.peft4j.site.LinearSite;
import io.peft4j.site.Site;
import io.peft4j.site.Sites;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A weight of linear layers.
 *
 * @param path of the first layer that uses it
 * @param weight the initializer
 * @param inFirst whether it is laid out [in, out]
 * @param out outputs
 * @param in inputs
 * @param inputs the values that it is multiplied with: several where layers share it
 */
record SparseLayer(
    String path, String weight, boolean inFirst, int out, int in, List<String> inputs) {
  SparseLayer {
    inputs = List.copyOf(inputs);
  }

  /**
   * The targets of a model, each weight once, in the graph's order.
   *
   * @throws PeftException if the targets match nothing, or something that is no linear layer
   */
  static List<SparseLayer> of(Graph graph, Targets targets) {
    Map<String, SparseLayer> layers = new LinkedHashMap<>();
    for (Site site : targets.select(Sites.of(graph))) {
      if (!(site instanceof LinearSite linear)) {
        throw new PeftException(
            "'%s' is no linear layer; weights are set to zero in linear layers alone"
                .formatted(site.path()));
      }
      layers.merge(linear.weight(), of(linear), SparseLayer::and);
    }
    return List.copyOf(layers.values());
  }

  private static SparseLayer of(LinearSite site) {
    return new SparseLayer(
        site.path(),
        site.weight(),
        site.inFirst(),
        Math.toIntExact(site.outFeatures()),
        Math.toIntExact(site.inFeatures()),
        List.of(site.input()));
  }

  private SparseLayer and(SparseLayer other) {
    if (inFirst != other.inFirst) {
      throw new PeftException(
          "'%s' and '%s' use one weight in both directions; leave one of them out of the targets"
              .formatted(path, other.path));
    }
    List<String> all = new ArrayList<>(inputs);
    other.inputs.stream().filter(input -> !all.contains(input)).forEach(all::add);
    return new SparseLayer(path, weight, inFirst, out, in, all);
  }

  /** The present weight [out, in]. */
  Matrix values(Graph graph) {
    Matrix stored = Matrix.of(graph.initializer(weight));
    return inFirst ? stored.transposed() : stored;
  }

  /** A weight [out, in] as the initializer holds it. */
  Tensor stored(Graph graph, Matrix values) {
    return (inFirst ? values.transposed() : values).toTensor(graph.initializer(weight).dtype());
  }

  /** Numbers that lie as the initializer does, in the order of [out, in]. */
  float[] rows(Tensor stored) {
    return (inFirst ? stored.transposed(1, 0) : stored).toFloats();
  }

  /** Ones for what stays and zeros for what goes, [out, in], as the initializer lies; float32. */
  Tensor stored(boolean[] keep) {
    float[] ones = new float[keep.length];
    for (int i = 0; i < ones.length; i++) {
      ones[i] = keep[i] ? 1 : 0;
    }
    Tensor mask = Tensor.ofFloats(new long[] {out, in}, ones);
    return inFirst ? mask.transposed(1, 0) : mask;
  }

  /** How many numbers of a tensor are zero. */
  static long zeros(Tensor tensor) {
    return Arrays.stream(tensor.toDoubles()).filter(value -> value == 0).count();
  }

  void requireGroupsOf(int size) {
    if (in % size != 0) {
      throw new PeftException(
          "layer '%s' has %d inputs, which are no whole groups of %d; leave it out of the targets"
              .formatted(path, in, size));
    }
  }
}

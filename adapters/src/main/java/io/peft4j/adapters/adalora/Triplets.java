package io.peft4j.adapters.adalora;

import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.NoSuchElementException;

/**
 * Where the triplets of one layer stand in the graph.
 *
 * @param a initializer, [rank, in]
 * @param b initializer, [out, rank]
 * @param e initializer, [rank, 1]
 */
record Triplets(String path, String a, String b, String e, int rank) {

  /** Those of each adapted layer, in the model's order. */
  static List<Triplets> of(AttachedAdapter adapter) {
    Graph graph = adapter.graph();
    List<Triplets> all = new ArrayList<>();
    for (String path : adapter.targets()) {
      String e = initializer(adapter, path, "lora_E");
      Tensor values = graph.initializer(e);
      all.add(
          new Triplets(
              path,
              initializer(adapter, path, "lora_A"),
              initializer(adapter, path, "lora_B"),
              e,
              Math.toIntExact(values.dim(0))));
    }
    return all;
  }

  private static String initializer(AttachedAdapter adapter, String path, String name) {
    return adapter.tensors().stream()
        .filter(t -> t.module().equals(path) && t.parameter().equals(name))
        .map(AdapterTensor::initializer)
        .findFirst()
        .orElseThrow(() -> new NoSuchElementException(path + "." + name));
  }

  List<String> tensors() {
    return List.of(a, b, e);
  }

  /** Where the mean importance of a tensor's elements is noted. */
  static String mean(String tensor) {
    return tensor + ".importance";
  }

  /** Where the mean distance from that mean is noted. */
  static String spread(String tensor) {
    return tensor + ".uncertainty";
  }

  /** Where it is noted which triplets stay: 1 or 0, [rank, 1]. */
  String mask() {
    return e + ".mask";
  }
}

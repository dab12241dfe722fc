package io.peft4j.adapters.hublora;

import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.math.Matrix;
import io.peft4j.site.LinearSite;
import io.peft4j.site.Sites;

/** Folds the changes into the weights, in float64, rounded once. */
final class LoraMerge {
  private LoraMerge() {}

  static Graph merge(HubLora method, AttachedAdapter adapter) {
    GraphEditor editor = adapter.base().edit();
    Sites sites = Sites.of(adapter.base());
    for (String path : adapter.targets()) {
      LinearSite site =
          sites.linear(path).orElseThrow(() -> new IllegalStateException("lost site " + path));
      Tensor weight = adapter.base().initializer(site.weight());
      if (method.change() == Change.SCALE) {
        double[] factors = tensor(adapter, path, "lora_B").toDoubles();
        editor.initializer(site.weight(), scaled(weight, factors, method.scale(), site.inFirst()));
        if (site.bias() != null) {
          Tensor bias = adapter.base().initializer(site.bias());
          editor.initializer(site.bias(), scaled(bias, factors, method.scale(), true));
        }
      } else {
        editor.initializer(site.weight(), added(method, adapter, site, weight));
      }
    }
    return editor.build();
  }

  private static Tensor tensor(AttachedAdapter adapter, String path, String part) {
    return adapter.graph().initializer(path + "." + LoraChange.name(adapter.name(), part));
  }

  /** Each output's numbers times its factor; outputs along the last axis, or along the first. */
  private static Tensor scaled(Tensor tensor, double[] factors, double scale, boolean lastAxis) {
    double[] numbers = tensor.toDoubles();
    int row = numbers.length / factors.length;
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] *= scale * factors[lastAxis ? i % factors.length : i / row];
    }
    return Tensor.ofDoubles(tensor.shape(), numbers).cast(tensor.dtype());
  }

  /** W + s (product of the factors) in the type of W. */
  private static Tensor added(
      HubLora method, AttachedAdapter adapter, LinearSite site, Tensor weight) {
    int in = Math.toIntExact(site.inFeatures());
    int out = Math.toIntExact(site.outFeatures());
    boolean lowRank = method.change() == Change.LOW_RANK;
    Matrix left = Matrix.of(tensor(adapter, site.path(), lowRank ? "lora_B" : "vera_B"));
    Matrix right = Matrix.of(tensor(adapter, site.path(), lowRank ? "lora_A" : "vera_D"));
    if (!lowRank) {
      left = left.times(Matrix.of(shared(adapter, "lora_B")));
      right = right.times(Matrix.of(shared(adapter, "lora_A")));
    }
    double[] delta = left.times(right).values();
    double[] sum = weight.toDoubles();
    for (int o = 0; o < out; o++) {
      for (int i = 0; i < in; i++) {
        sum[site.inFirst() ? i * out + o : o * in + i] += method.scale() * delta[o * in + i];
      }
    }
    return Tensor.ofDoubles(weight.shape(), sum).cast(weight.dtype());
  }

  private static Tensor shared(AttachedAdapter adapter, String part) {
    String end = "shared_parameters." + adapter.name() + "." + part;
    return adapter.tensors().stream()
        .filter(tensor -> tensor.parameter().equals(end))
        .findFirst()
        .map(tensor -> adapter.graph().initializer(tensor.initializer()))
        .orElseThrow(() -> new IllegalStateException("lost tensor " + end));
  }
}

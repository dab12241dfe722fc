package io.peft4j.adapters.hublora;

import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
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
        double[] factors = values(adapter, path, "lora_B");
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

  private static double[] values(AttachedAdapter adapter, String path, String part) {
    return adapter
        .graph()
        .initializer(path + "." + LoraChange.name(adapter.name(), part))
        .toDoubles();
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
    int r = method.rank();
    double[] left;
    double[] right;
    if (method.change() == Change.LOW_RANK) {
      left = values(adapter, site.path(), "lora_B");
      right = values(adapter, site.path(), "lora_A");
    } else {
      double[] b = values(adapter, site.path(), "vera_B");
      double[] d = values(adapter, site.path(), "vera_D");
      left = product(b, shared(adapter, "lora_B"), out, out, r);
      right = product(d, shared(adapter, "lora_A"), r, r, in);
    }
    double[] delta = product(left, right, out, r, in);
    double[] sum = weight.toDoubles();
    for (int o = 0; o < out; o++) {
      for (int i = 0; i < in; i++) {
        sum[site.inFirst() ? i * out + o : o * in + i] += method.scale() * delta[o * in + i];
      }
    }
    return Tensor.ofDoubles(weight.shape(), sum).cast(weight.dtype());
  }

  private static double[] shared(AttachedAdapter adapter, String part) {
    String end = "shared_parameters." + adapter.name() + "." + part;
    return adapter.tensors().stream()
        .filter(tensor -> tensor.parameter().equals(end))
        .findFirst()
        .map(tensor -> adapter.graph().initializer(tensor.initializer()).toDoubles())
        .orElseThrow(() -> new IllegalStateException("lost tensor " + end));
  }

  /** a [rows, inner] times b [inner, columns]. */
  private static double[] product(double[] a, double[] b, int rows, int inner, int columns) {
    double[] result = new double[rows * columns];
    for (int i = 0; i < rows; i++) {
      for (int k = 0; k < inner; k++) {
        double factor = a[i * inner + k];
        for (int j = 0; j < columns; j++) {
          result[i * columns + j] += factor * b[k * columns + j];
        }
      }
    }
    return result;
  }
}

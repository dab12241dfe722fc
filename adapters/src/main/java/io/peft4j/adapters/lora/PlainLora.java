package io.peft4j.adapters.lora;

import com.google.common.primitives.Doubles;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.graph.DType;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.math.Matrix;
import io.peft4j.math.Svd;
import io.peft4j.site.EmbeddingSite;
import io.peft4j.site.LinearSite;
import io.peft4j.site.Sites;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Turns LoRA that started by changing its base into LoRA on the base as it is: what was left of the
 * weight is W − s B₀ A₀, so W_left + s B A = W + s [B, B₀] [A; −A₀], of twice the rank.
 */
public final class PlainLora {
  private final AttachedAdapter adapter;
  private final Lora lora;
  private final TrainedValues values;
  private final Sites sites;
  private final Map<String, Svd> differences = new HashMap<>();

  private PlainLora(AttachedAdapter adapter) {
    this.adapter = adapter;
    lora = (Lora) adapter.method();
    values = new TrainedValues(adapter);
    sites = Sites.of(adapter.base());
  }

  /** The same model; an adapter that left its base alone stays as it is. */
  public static AttachedAdapter of(AttachedAdapter adapter) {
    boolean changes = adapter.method() instanceof Lora lora && lora.init().leavesResidual();
    return changes ? new PlainLora(adapter).converted() : adapter;
  }

  private AttachedAdapter converted() {
    // Twice the rank with the same scale s.
    double factor = lora.rankStabilized() ? Math.sqrt(2) : 2;
    Map<String, Integer> ranks = new LinkedHashMap<>();
    lora.rankPattern().forEach((key, rank) -> ranks.put(key, 2 * rank));
    Map<String, Double> alphas = new LinkedHashMap<>();
    lora.alphaPattern().forEach((key, alpha) -> alphas.put(key, factor * alpha));
    Lora plain =
        lora.ofRank(2 * lora.rank())
            .alpha(factor * lora.alpha())
            .rankPattern(ranks)
            .alphaPattern(alphas)
            .init(LoraStart.DEFAULT);
    AttachedAdapter attached = plain.attach(adapter.base(), adapter.name(), 0);
    GraphEditor editor = attached.graph().edit();
    for (AdapterTensor tensor : attached.tensors()) {
      editor.initializer(tensor.initializer(), value(tensor));
    }
    return attached.withGraph(editor.build());
  }

  private Tensor value(AdapterTensor tensor) {
    Matrix present;
    switch (tensor.parameter()) {
      case "lora_A.weight", "lora_embedding_A" -> {
        present = Matrix.of(values.of(tensor.module(), tensor.parameter()));
        return stacked(present, removed(tensor.module(), true)).toTensor(DType.FLOAT32);
      }
      case "lora_B.weight", "lora_embedding_B" -> {
        present = Matrix.of(values.of(tensor.module(), tensor.parameter()));
        Matrix removed = removed(tensor.module(), false).transposed();
        return stacked(present.transposed(), removed).transposed().toTensor(DType.FLOAT32);
      }
      default -> {
        return values.of(tensor.module(), tensor.parameter());
      }
    }
  }

  private static Matrix stacked(Matrix above, Matrix below) {
    return Matrix.of(
        above.rows() + below.rows(),
        above.columns(),
        Doubles.concat(above.values(), below.values()));
  }

  /** −A₀ or B₀ of a module; zeros for a table of vectors, which no start changes. */
  private Matrix removed(String path, boolean isA) {
    int rank = lora.rankOf(path);
    LinearSite linear = sites.linear(path).orElse(null);
    if (linear == null) {
      EmbeddingSite table =
          sites.embeddings().stream().filter(e -> e.path().equals(path)).findFirst().orElseThrow();
      int size = Math.toIntExact(isA ? table.entries() : table.size());
      return isA ? Matrix.zeros(rank, size) : Matrix.zeros(size, rank);
    }
    Svd svd = differences.computeIfAbsent(path, key -> difference(linear, rank));
    double[] roots = svd.singular();
    for (int i = 0; i < roots.length; i++) {
      roots[i] = Math.sqrt(roots[i]);
    }
    return isA ? svd.vTransposed().scaledRows(roots).scaled(-1) : svd.u().scaledColumns(roots);
  }

  /** (W − W_left) / s, which has rank r. */
  private Svd difference(LinearSite linear, int rank) {
    Matrix before = Matrix.of(adapter.base().initializer(linear.weight()));
    Matrix after = Matrix.of(values.present(linear.weight()));
    Matrix removed = before.minus(after).scaled(1 / lora.scale(linear.path()));
    return Svd.of(linear.inFirst() ? removed.transposed() : removed).truncated(rank);
  }
}

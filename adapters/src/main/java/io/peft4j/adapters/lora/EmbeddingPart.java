package io.peft4j.adapters.lora;

import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.MergedWeights;
import io.peft4j.graph.DType;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.math.Matrix;
import io.peft4j.site.EmbeddingSite;
import java.util.List;
import java.util.SplittableRandom;

/**
 * LoRA on a table of vectors E [entries, size]: E + s (B A)ᵀ with A [r, entries] and B [size, r].
 * Nothing is dropped. A starts at zero and B normal.
 */
final class EmbeddingPart {
  private final Lora lora;
  private final EmbeddingSite site;
  private final int rank;
  private final double scale;

  EmbeddingPart(Lora lora, EmbeddingSite site) {
    this.lora = lora;
    this.site = site;
    rank = lora.rankOf(site.path());
    scale = lora.scale(site.path());
  }

  List<AdapterTensor> attach(GraphEditor editor, String adapter, SplittableRandom random) {
    Adapted at = new Adapted(editor, site.path(), adapter);
    int size = Math.toIntExact(site.size());
    Tensor startA = Tensor.zeros(DType.FLOAT32, rank, site.entries());
    double[] normal = new double[size * rank];
    for (int i = 0; i < normal.length; i++) {
      normal[i] = random.nextGaussian();
    }
    Tensor startB = Tensor.ofDoubles(new long[] {size, rank}, normal).cast(DType.FLOAT32);
    Expression a = at.parameter("lora_embedding_A", startA);
    Expression b = at.parameter("lora_embedding_B", startB);
    Expression low = a.transposed().gathered(0, at.value(site.indices()));
    Expression update = low.matmul(b.transposed()).times(scale);
    Expression output = at.wide(site.output(), site.dtype()).plus(update);
    if (lora.dora()) {
      output = output.times(factor(at, editor.requiredInitializer(site.weight()), a, b));
    }
    at.replaceOutput(site.output(), site.dtype(), output);
    return at.tensors();
  }

  /** Trained by present length of each element over all entries, [size]. */
  private Expression factor(Adapted at, Tensor table, Expression a, Expression b) {
    int size = Math.toIntExact(site.size());
    double[] squares = Magnitudes.squaredRows(Matrix.of(table).transposed().values(), size);
    Expression magnitude = at.parameter("lora_magnitude_vector", Magnitudes.lengths(squares, size));
    Expression constant =
        at.constant("squares", Tensor.ofDoubles(new long[] {size}, squares).cast(DType.FLOAT32));
    Expression fixed = a.detached();
    Expression weight = at.wide(site.weight(), table.dtype());
    Expression weightByA = fixed.matmul(weight).transposed();
    return magnitude.over(Magnitudes.present(constant, weightByA, fixed, b.detached(), scale));
  }

  void merge(TrainedValues values, MergedWeights weights) {
    double[] magnitudes =
        lora.dora() ? values.of(site.path(), "lora_magnitude_vector").toDoubles() : new double[0];
    Matrix sum =
        LowRank.added(
            Matrix.of(values.present(site.weight())).transposed(),
            values.of(site.path(), "lora_embedding_A"),
            values.of(site.path(), "lora_embedding_B"),
            scale,
            magnitudes);
    weights.put(site, sum.transposed().toTensor(DType.FLOAT64));
  }
}

package io.peft4j.adapters.lora;

import io.peft4j.PeftException;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.math.Matrix;
import io.peft4j.site.ConvSite;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;

/**
 * LoRA on a convolution: A is a convolution of the same kernel, strides and pads with r output
 * channels, B one of kernel 1 behind it.
 */
final class ConvolutionPart {
  private final Lora lora;
  private final ConvSite site;
  private final int rank;
  private final double scale;

  ConvolutionPart(Lora lora, ConvSite site) {
    this.lora = lora;
    this.site = site;
    rank = lora.rankOf(site.path());
    scale = lora.scale(site.path());
    if (lora.init().leavesResidual() || lora.init() == LoraStart.EVA) {
      throw new PeftException(
          "init %s is for linear layers; '%s' is a convolution, leave it out"
              .formatted(lora.init().label(), site.path()));
    }
    if (rank % site.groups() != 0) {
      throw new PeftException(
          "'%s' has %d groups, which rank %d cannot be divided by; choose a multiple"
              .formatted(site.path(), site.groups(), rank));
    }
  }

  List<AdapterTensor> attach(GraphEditor editor, String adapter, SplittableRandom random) {
    Adapted at = new Adapted(editor, site.path(), adapter);
    Tensor weight = editor.requiredInitializer(site.weight());
    long[] kernel = Arrays.copyOfRange(weight.shape(), 2, weight.rank());
    int out = Math.toIntExact(site.outChannels());
    int covered = Math.toIntExact(site.inChannels() * Tensor.elements(kernel));
    StartValues start = StartValues.drawn(lora.init(), out, covered, rank, random);
    long[] ones = new long[kernel.length];
    Arrays.fill(ones, 1);
    long perGroup = rank / site.groups();
    Expression a =
        at.parameter("lora_A.weight", start.a().reshaped(shape(rank, site.inChannels(), kernel)));
    Expression b =
        at.parameter(
            "lora_B.weight",
            site.groups() == 1
                ? start.b().reshaped(shape(out, rank, ones))
                : Tensor.zeros(DType.FLOAT32, shape(out, perGroup, ones)));
    Map<String, Attribute> ofA = new HashMap<>(site.attributes());
    ofA.remove("group");
    Expression x = at.wide(site.input(), site.dtype()).dropout(lora.dropout());
    Map<String, Attribute> ofB =
        site.groups() == 1 ? Map.of() : Map.of("group", Attribute.of(site.groups()));
    Expression update = x.convolved(a, ofA).convolved(b, ofB);
    if (lora.loraBias()) {
      Expression bias = at.parameter("lora_B.bias", Tensor.zeros(DType.FLOAT32, out));
      update = update.plus(bias.reshaped(shape(1, out, ones)));
    }
    update = update.times(scale);
    Expression y = at.wide(site.output(), site.dtype());
    if (!lora.dora()) {
      at.replaceOutput(site.output(), site.dtype(), y.plus(update));
      return at.tensors();
    }
    Expression factor = factor(at, weight, kernel, a, b);
    String bias = site.bias();
    Expression wideBias =
        bias == null
            ? null
            : at.wide(bias, editor.requiredInitializer(bias).dtype()).reshaped(shape(1, out, ones));
    Expression unit = (wideBias == null ? y : y.minus(wideBias)).plus(update).times(factor);
    at.replaceOutput(site.output(), site.dtype(), wideBias == null ? unit : unit.plus(wideBias));
    return at.tensors();
  }

  private static long[] shape(long first, long second, long... further) {
    long[] shape = new long[2 + further.length];
    shape[0] = first;
    shape[1] = second;
    System.arraycopy(further, 0, shape, 2, further.length);
    return shape;
  }

  /** Trained by present length of each kernel, [1, out, 1, ...]. */
  private Expression factor(Adapted at, Tensor weight, long[] kernel, Expression a, Expression b) {
    if (site.groups() != 1) {
      throw new PeftException(
          "dora does not go with the %d groups of '%s'; leave it out"
              .formatted(site.groups(), site.path()));
    }
    int out = Math.toIntExact(site.outChannels());
    long[] ones = new long[kernel.length];
    Arrays.fill(ones, 1);
    double[] squares = Magnitudes.squaredRows(weight.toDoubles(), out);
    Expression magnitude =
        at.parameter("lora_magnitude_vector", Magnitudes.lengths(squares, shape(1, out, ones)));
    Expression constant =
        at.constant("squares", Tensor.ofDoubles(new long[] {out}, squares).cast(DType.FLOAT32));
    Expression fixedA = a.detached().reshaped(rank, -1);
    Expression fixedB = b.detached().reshaped(out, rank);
    Expression rows = at.wide(site.weight(), weight.dtype()).reshaped(out, -1);
    Expression weightByA = rows.matmul(fixedA.transposed());
    Expression length = Magnitudes.present(constant, weightByA, fixedA, fixedB, scale);
    return magnitude.over(length.reshaped(shape(1, out, ones)));
  }

  void merge(TrainedValues values, GraphEditor editor) {
    if (site.groups() != 1) {
      throw new PeftException(
          "LoRA on '%s' cannot be merged: its A sees all channels, a weight of %d groups does not; keep the adapter apart"
              .formatted(site.path(), site.groups()));
    }
    int out = Math.toIntExact(site.outChannels());
    Tensor weight = values.present(site.weight());
    Matrix rows = Matrix.of(out, Math.toIntExact(weight.size() / out), weight.toDoubles());
    Matrix sum =
        LowRank.added(
            rows,
            values.of(site.path(), "lora_A.weight"),
            values.of(site.path(), "lora_B.weight"),
            scale);
    double[] factors = new double[0];
    if (lora.dora()) {
      factors = LowRank.factors(sum, values.of(site.path(), "lora_magnitude_vector").toDoubles());
      sum = sum.scaledRows(factors);
    }
    Tensor merged = sum.toTensor(DType.FLOAT64).reshaped(weight.shape()).cast(weight.dtype());
    editor.initializer(site.weight(), merged);
    mergeBias(values, editor, factors);
  }

  private void mergeBias(TrainedValues values, GraphEditor editor, double... factors) {
    if (!lora.loraBias()) {
      return;
    }
    @Nullable String bias = site.bias();
    if (bias == null) {
      throw new PeftException(
          "LoRA on '%s' cannot be merged: B has a bias and the convolution none; keep the adapter apart"
              .formatted(site.path()));
    }
    double[] sum = values.of(site.path(), "lora_B.bias").toDoubles();
    Tensor own = values.present(bias);
    double[] present = own.toDoubles();
    for (int i = 0; i < sum.length; i++) {
      sum[i] = present[i] + scale * sum[i] * (factors.length == 0 ? 1 : factors[i]);
    }
    editor.initializer(bias, Tensor.ofDoubles(own.shape(), sum).cast(own.dtype()));
  }
}

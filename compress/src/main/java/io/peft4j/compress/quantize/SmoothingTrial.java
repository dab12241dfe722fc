package io.peft4j.compress.quantize;

import io.peft4j.graph.Tensor;
import java.util.Arrays;
import java.util.List;

/**
 * One input of linear layers: how near its quantised products come to the true ones when it is
 * divided by factors and the weights are multiplied by them.
 */
final class SmoothingTrial {
  private static final double SMALLEST = 1e-5;

  private final Extent extent;
  private final List<float[]> weights;
  private final int channels;

  SmoothingTrial(Extent extent, List<QuantizableLayer> layers) {
    this.extent = extent;
    channels = extent.largest().length;
    weights = layers.stream().map(SmoothingTrial::outByIn).toList();
  }

  /** A weight laid out [out, in]. */
  private static float[] outByIn(QuantizableLayer layer) {
    Tensor tensor = layer.tensor();
    return (layer.inFirst() ? tensor.transposed(1, 0) : tensor).toFloats();
  }

  /** The input channel that an element of a weight belongs to. */
  static int channel(QuantizableLayer layer, int element) {
    int width = Math.toIntExact(layer.tensor().dim(1));
    return layer.inFirst() ? element / width : element % width;
  }

  float[] none() {
    float[] ones = new float[channels];
    Arrays.fill(ones, 1);
    return ones;
  }

  float[] factors(double strength) {
    float[] largest = new float[channels];
    for (float[] weight : weights) {
      for (int i = 0; i < weight.length; i++) {
        largest[i % channels] = Math.max(largest[i % channels], Math.abs(weight[i]));
      }
    }
    float[] factors = new float[channels];
    for (int j = 0; j < channels; j++) {
      double input = Math.max(extent.largest()[j], SMALLEST);
      double weight = Math.max(largest[j], SMALLEST);
      factors[j] =
          (float) Math.max(SMALLEST, Math.pow(input, strength) / Math.pow(weight, 1 - strength));
    }
    return factors;
  }

  /** The sum of squares of what quantising changes, over the sample of rows and all outputs. */
  double error(float[] factors) {
    double low = 0;
    double high = 0;
    for (int j = 0; j < channels; j++) {
      low = Math.min(low, extent.lows()[j] / factors[j]);
      high = Math.max(high, extent.highs()[j] / factors[j]);
    }
    ActivationRange range = ActivationRange.of(low, high);
    List<float[]> rows = extent.sample();
    float[][] inputs = new float[rows.size()][channels]; // rounded
    float[][] change = new float[rows.size()][channels]; // rounded minus true
    for (int r = 0; r < inputs.length; r++) {
      for (int j = 0; j < channels; j++) {
        float even = rows.get(r)[j] / factors[j];
        inputs[r][j] = (float) range.rounded(even);
        change[r][j] = inputs[r][j] - even;
      }
    }
    double sum = 0;
    for (float[] weight : weights) {
      int outputs = weight.length / channels;
      float[] even = new float[weight.length];
      for (int i = 0; i < even.length; i++) {
        even[i] = weight[i] * factors[i % channels];
      }
      float[] rounded =
          Int8Channels.symmetric(Tensor.ofFloats(new long[] {outputs, channels}, even), 0, false)
              .dequantized()
              .toFloats();
      for (int o = 0; o < outputs; o++) {
        int at = o * channels;
        for (int r = 0; r < inputs.length; r++) {
          sum += square(inputs[r], change[r], even, rounded, at);
        }
      }
    }
    return sum;
  }

  /** (x̂ ŵ − x w)² = (x̂ (ŵ − w) + (x̂ − x) w)², which has no large terms that cancel. */
  private static double square(
      float[] input, float[] change, float[] even, float[] rounded, int at) {
    float difference = 0;
    for (int j = 0; j < input.length; j++) {
      difference += input[j] * (rounded[at + j] - even[at + j]) + change[j] * even[at + j];
    }
    return (double) difference * difference;
  }
}

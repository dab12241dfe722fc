package io.peft4j.compress.quantize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class Int8ChannelsTest {
  private static final Map<String, Tensor> GOLDEN =
      SafeTensors.read(Path.of("src/test/resources/compression/int8.safetensors")).tensors();

  @Test
  void symmetricIsTheReference() {
    QuantizedTensor made = Int8Channels.symmetric(GOLDEN.get("weight"), 0, false);
    assertThat(made.values().contentEquals(GOLDEN.get("q"))).isTrue();
    assertThat(made.scale().contentEquals(GOLDEN.get("scale"))).isTrue();
    assertThat(made.dequantized().contentEquals(GOLDEN.get("dequantised"))).isTrue();
  }

  @Test
  void channelsMayLieAlongAnyAxis() {
    QuantizedTensor rows = Int8Channels.symmetric(GOLDEN.get("weight"), 0, false);
    QuantizedTensor columns =
        Int8Channels.symmetric(GOLDEN.get("weight").transposed(1, 0), 1, false);
    assertThat(columns.values().transposed(1, 0).contentEquals(rows.values())).isTrue();
    assertThat(columns.dequantized().transposed(1, 0).contentEquals(rows.dequantized())).isTrue();
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void noNumberMovesMoreThanHalfAStep(boolean reduced) {
    Tensor weight = skewed(7, 33);
    QuantizedTensor symmetric = Int8Channels.symmetric(weight, 0, reduced);
    assertStep(weight, symmetric);
    assertThat(Arrays.stream(symmetric.values().toLongs()).map(Math::abs).max())
        .hasValue(reduced ? 64 : 127);
  }

  @Test
  void asymmetricHasAboutTwiceTheStepsOnOneSidedWeights() {
    Tensor weight = skewed(7, 33);
    QuantizedTensor made = Int8Channels.asymmetric(weight, 0);
    assertStep(weight, made);
    float[] scale = made.scale().toFloats();
    float[] symmetric = Int8Channels.symmetric(weight, 0, false).scale().toFloats();
    for (int c = 0; c < scale.length; c++) {
      assertThat(scale[c]).isLessThan(0.6f * symmetric[c]);
    }
  }

  @Test
  void zerosStayZero() {
    Tensor weight = Tensor.ofFloats(new long[] {2, 2}, 0, 0, 0, 5);
    for (QuantizedTensor made :
        new QuantizedTensor[] {
          Int8Channels.symmetric(weight, 0, false), Int8Channels.asymmetric(weight, 0)
        }) {
      assertThat(made.scale().toFloats()[0]).isEqualTo(1);
      assertThat(made.dequantized().toFloats())
          .containsExactly(new float[] {0, 0, 0, 5}, within(1e-6f));
    }
  }

  private static void assertStep(Tensor weight, QuantizedTensor made) {
    float[] before = weight.toFloats();
    float[] after = made.dequantized().toFloats();
    float[] scale = made.scale().toFloats();
    for (int i = 0; i < before.length; i++) {
      float step = scale[i / (int) weight.dim(1)];
      assertThat(after[i]).isCloseTo(before[i], within(0.5001f * step));
    }
  }

  /** Mostly positive rows of very different size. */
  private static Tensor skewed(int rows, int columns) {
    Random random = new Random(3);
    float[] values = new float[rows * columns];
    for (int i = 0; i < values.length; i++) {
      values[i] =
          (float) ((Math.abs(random.nextGaussian()) - 0.01) * Math.pow(10, i / columns - 3));
    }
    return Tensor.ofFloats(new long[] {rows, columns}, values);
  }
}

package io.peft4j.math;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.engine.torch.TorchFunction;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Against the generator of the torch that the engine brings. */
class TorchGeneratorTest {
  private static final TorchFunction NORMAL =
      TorchFunction.of("normal numbers", 1, "torch.randn_like(x0)");

  /** Below 16 torch draws pairs, from there on blocks of 16 and the last 16 twice. */
  @ParameterizedTest
  @ValueSource(ints = {1, 4, 15, 16, 40, 1000})
  void normalNumbersAreThoseOfTorch(int size) {
    Tensor shape = Tensor.zeros(DType.FLOAT32, size);
    NORMAL.apply(shape); // compiles, which may draw
    TorchEngine.seed(5);
    double[] expected = NORMAL.apply(shape).get(0).toDoubles();
    float[] numbers = new TorchGenerator(5).normal(size);
    for (int i = 0; i < size; i++) {
      assertThat((double) numbers[i]).isCloseTo(expected[i], within(2e-6));
    }
  }
}

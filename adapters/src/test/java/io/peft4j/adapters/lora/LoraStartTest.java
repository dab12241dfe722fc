package io.peft4j.adapters.lora;

import static io.peft4j.adapters.MethodCase.assertClose;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.peft4j.AdaptedModel;
import io.peft4j.PeftException;
import io.peft4j.UnsupportedModelException;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.MethodCase;
import io.peft4j.graph.Tensor;
import io.peft4j.math.Matrix;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.DoubleStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** How A and B start, and what that does to the base. */
class LoraStartTest {
  private static final Targets QUERY_VALUE = Targets.named(List.of("query", "value"));

  @ParameterizedTest
  @ValueSource(strings = {"lora-pissa", "lora-olora", "lora-orthogonal"})
  void theBaseIsLeftWithWhatPeftLeaves(String name) {
    MethodCase golden = MethodCase.peft(name);
    AdaptedModel adapted = golden.adapted();
    int compared = 0;
    for (Map.Entry<String, Tensor> entry : golden.io().entrySet()) {
      if (entry.getKey().startsWith("residual.")) {
        String weight =
            entry.getKey().replace("residual.base_model.model.", "").replace(".base_layer", "");
        assertClose(weight, adapted.graph().initializer(weight), entry.getValue(), 1e-5, 0);
        compared++;
      }
    }
    assertThat(compared).isEqualTo(4);
  }

  @ParameterizedTest
  @ValueSource(strings = {"lora-pissa", "lora-olora"})
  void productsAtTheStartAreThoseOfPeft(String name) {
    MethodCase golden = MethodCase.peft(name);
    Lora lora = (Lora) golden.adapted().adapter().method();
    AdaptedModel fresh = golden.base().attach(lora);
    TrainedValues values = new TrainedValues(fresh.adapter());
    for (String path : fresh.adapter().targets()) {
      String key = "init.base_model.model." + path;
      Tensor expectedA = golden.io().get(key + ".lora_A.weight");
      Tensor expectedB = golden.io().get(key + ".lora_B.weight");
      Tensor product = product(values.of(path, "lora_A.weight"), values.of(path, "lora_B.weight"));
      assertClose(path, product, product(expectedA, expectedB), 1e-5, 0);
    }
    Tensor logits = MethodCase.run(fresh.graph(), golden.inputs()).get("logits");
    assertClose("logits", logits, golden.io().get("logits_init"), 1e-5, 0);
  }

  private static Tensor product(Tensor a, Tensor b) {
    return Matrix.of(b).times(Matrix.of(a)).toTensor(io.peft4j.graph.DType.FLOAT32);
  }

  @ParameterizedTest
  @ValueSource(strings = {"lora-pissa", "lora-olora", "lora-orthogonal"})
  void theFormThatPeftConvertsToIsThisModelToo(String name) {
    MethodCase golden = MethodCase.peft(name);
    AdaptedModel converted = golden.base().load(golden.folder().resolve("converted"));
    Tensor logits = MethodCase.run(converted.graph(), golden.inputs()).get("logits");
    assertClose("logits", logits, golden.io().get("logits"), 1e-5, 0);
  }

  @ParameterizedTest
  @ValueSource(strings = {"lora-pissa", "lora-olora"})
  void convertedHereItIsPlainLoraOfTwiceTheRank(String name) {
    MethodCase golden = MethodCase.peft(name);
    AttachedAdapter plain = PlainLora.of(golden.adapted().adapter());
    Lora lora = (Lora) plain.method();
    assertThat(lora.rank()).isEqualTo(8);
    assertThat(lora.init()).isEqualTo(LoraStart.DEFAULT);
    Tensor logits = MethodCase.run(plain.graph(), golden.inputs()).get("logits");
    assertClose("logits", logits, golden.io().get("logits"), 1e-5, 0);
  }

  @ParameterizedTest
  @EnumSource(LoraStart.class)
  void theAdaptedModelStartsAsTheBase(LoraStart start) {
    MethodCase golden = MethodCase.peft("lora-qv");
    AdaptedModel adapted = golden.base().attach(Lora.rank(4).on(QUERY_VALUE).init(start));
    Tensor logits = MethodCase.run(adapted.graph(), golden.inputs()).get("logits");
    assertClose("logits", logits, golden.io().get("logits_base"), 1e-5, 0);
  }

  @Test
  void gaussianAndDefaultAreDistributedAsInPeft() throws IOException {
    // lora-gaussian of the golden data: deviation 1/r = 0.25 measured 0.2477 over 10,240 numbers;
    // uniform in ±1/√32 measured deviation 0.1016.
    double[] gaussian = startsOfA(LoraStart.GAUSSIAN);
    double[] uniform = startsOfA(LoraStart.DEFAULT);
    assertThat(deviation(gaussian)).isCloseTo(0.25, within(0.005));
    assertThat(Arrays.stream(gaussian).average().orElseThrow()).isCloseTo(0, within(0.01));
    assertThat(deviation(uniform)).isCloseTo(1 / Math.sqrt(3 * 32), within(0.002));
    assertThat(Arrays.stream(uniform).map(Math::abs).max().orElseThrow())
        .isBetween(0.17, 1 / Math.sqrt(32));
  }

  private static double[] startsOfA(LoraStart start) {
    return DoubleStream.iterate(0, seed -> seed + 1)
        .limit(20)
        .flatMap(
            seed -> {
              AdaptedModel adapted =
                  MethodCase.bert().attach(Lora.rank(4).on(QUERY_VALUE).init(start), (long) seed);
              TrainedValues values = new TrainedValues(adapted.adapter());
              return adapted.adapter().targets().stream()
                  .flatMapToDouble(
                      path -> Arrays.stream(values.of(path, "lora_A.weight").toDoubles()));
            })
        .toArray();
  }

  private static double deviation(double... numbers) {
    return Math.sqrt(Arrays.stream(numbers).map(x -> x * x).average().orElseThrow());
  }

  @Test
  void orthogonalStartsHaveNoProductAndNeitherIsZero() {
    AdaptedModel adapted =
        MethodCase.bert().attach(Lora.rank(4).on(QUERY_VALUE).init(LoraStart.ORTHOGONAL));
    TrainedValues values = new TrainedValues(adapted.adapter());
    for (String path : adapted.adapter().targets()) {
      Matrix a = Matrix.of(values.of(path, "lora_A.weight"));
      Matrix b = Matrix.of(values.of(path, "lora_B.weight"));
      assertThat(a.norm()).isGreaterThan(0.1);
      assertThat(b.norm()).isGreaterThan(0.1);
      assertThat(b.times(a).norm()).isLessThan(1e-6);
    }
  }

  @Test
  void orthogonalNeedsAnEvenRank() {
    assertThatThrownBy(() -> MethodCase.bert().attach(Lora.rank(3).init(LoraStart.ORTHOGONAL)))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("even rank");
  }

  @Test
  void aRankBeyondTheWeightCannotBeCut() {
    assertThatThrownBy(() -> MethodCase.bert().attach(Lora.rank(33).init(LoraStart.PISSA)))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("rank 33");
  }

  @ParameterizedTest
  @ValueSource(strings = {"lora_ga", "corda", "loftq", "pissa_niter_4"})
  void anAdapterOfALostBaseIsRefusedByName(String start, @TempDir Path folder) throws IOException {
    Path source = MethodCase.peft("lora-qv").folder();
    Files.copy(
        source.resolve("adapter_model.safetensors"), folder.resolve("adapter_model.safetensors"));
    String config = Files.readString(source.resolve("adapter_config.json"));
    Files.writeString(
        folder.resolve("adapter_config.json"),
        config.replace(
            "\"init_lora_weights\": true", "\"init_lora_weights\": \"%s\"".formatted(start)));
    assertThatThrownBy(() -> MethodCase.bert().load(folder))
        .isInstanceOf(UnsupportedModelException.class)
        .hasMessageContaining(start);
  }
}

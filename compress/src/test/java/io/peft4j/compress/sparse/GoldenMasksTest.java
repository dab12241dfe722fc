package io.peft4j.compress.sparse;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.peft4j.compress.LinearLayers;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Masks as the reference has them. */
class GoldenMasksTest {
  private static final List<String> NAMES =
      List.of(
          "bert.encoder.layer.0.intermediate.dense",
          "bert.encoder.layer.0.output.dense",
          "bert.encoder.layer.1.attention.self.query");

  private static Map<String, Tensor> golden(String file) {
    return SafeTensors.read(Path.of("src/test/resources/compression/" + file + ".safetensors"))
        .tensors();
  }

  private static void assertKeeps(SparseModel sparse, String layer, Tensor weight, Tensor mask) {
    float[] expected = weight.toFloats();
    float[] keep = mask.toFloats();
    for (int i = 0; i < expected.length; i++) {
      expected[i] = keep[i] == 0 ? 0 : expected[i];
    }
    assertThat(sparse.model().graph().initializer(layer + ".weight").toFloats())
        .containsExactly(expected);
  }

  @ParameterizedTest
  @CsvSource({"global60, MODEL", "layer60, LAYER", "nm2to4,"})
  void magnitude(String mask, Pattern.Scope scope) {
    Map<String, Tensor> golden = golden("magnitude");
    Map<String, Tensor> weights = new LinkedHashMap<>();
    NAMES.forEach(name -> weights.put(name, golden.get("weight." + name + ".weight")));
    Pattern pattern = scope == null ? Pattern.parse("2:4") : new Pattern.Share(0.6, scope);
    SparseModel sparse =
        Sparsification.of(Importance.MAGNITUDE, pattern)
            .apply(LinearLayers.of(weights), null, layer -> {});
    for (String name : NAMES) {
      assertKeeps(sparse, name, weights.get(name), golden.get(mask + "." + name + ".weight"));
    }
  }

  @ParameterizedTest
  @CsvSource({"row50, mask_row50", "2to4, mask_2to4"})
  void wanda(String kind, String mask) {
    Map<String, Tensor> golden = golden("wanda");
    Tensor weight = golden.get("weight");
    Pattern pattern =
        kind.equals("2to4") ? Pattern.parse("2:4") : new Pattern.Share(0.5, Pattern.Scope.ROW);
    SparseModel sparse =
        Sparsification.of(Importance.WANDA, pattern)
            .apply(
                LinearLayers.of(Map.of("dense", weight)),
                LinearLayers.calibration(golden.get("inputs")),
                layer -> {});
    assertKeeps(sparse, "dense", weight, golden.get(mask));
    assertThat(sparse.model().graph().initializer("dense.weight").toFloats())
        .containsExactly(golden.get("pruned_" + kind).toFloats(), within(0f)); // it has -0 too
    assertThat(sparse.sparsity()).isEqualTo(0.5);
  }

  @Test
  void wandaScoresAreThoseOfTheReference() {
    Map<String, Tensor> golden = golden("wanda");
    double[] lengths =
        LinearLayers.calibration(golden.get("inputs"))
            .moments(LinearLayers.of(Map.of("dense", golden.get("weight"))).graph(), List.of("x32"))
            .lengths();
    float[] weight = golden.get("weight").toFloats();
    float[] score = golden.get("score").toFloats();
    for (int i = 0; i < score.length; i++) {
      assertThat(Math.abs(weight[i]) * lengths[i % 32]).isCloseTo(score[i], within(1e-5));
    }
  }
}

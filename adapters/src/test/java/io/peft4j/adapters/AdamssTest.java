package io.peft4j.adapters;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.AdaptedModel;
import io.peft4j.CheckpointFormatException;
import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.RecipeException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.MethodRecipes;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.adamss.Adamss;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.math.Matrix;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class AdamssTest {
  private static final String QUERY = "bert.encoder.layer.0.attention.self.query";

  private static Adamss method(Map<String, Object> settings) {
    Map<String, Object> all = new HashMap<>(Map.of("rank", 8, "num_subspaces", 3));
    all.putAll(settings);
    AdapterMethod read = MethodRecipes.named("adamss").read(new MapSettings(all));
    return ((Adamss) read).on(Targets.named(List.of("query")));
  }

  private static Tensor tensor(AdaptedModel model, String path, String name) {
    return model.adapter().tensors().stream()
        .filter(t -> t.module().equals(path) && t.parameter().equals(name))
        .map(t -> model.graph().initializer(t.initializer()))
        .findFirst()
        .orElseThrow();
  }

  @Test
  void theGroupsShareOutAllRowsAndStartWithOrthonormalDirections() {
    AdaptedModel model = MethodCase.bert().attach(method(Map.of("subspace_rank", 2)));
    long rows = 0;
    for (int i = 0; i < 3; i++) {
      Tensor b = tensor(model, QUERY, "adamss_B." + i);
      Matrix a = Matrix.of(tensor(model, QUERY, "adamss_A." + i));
      rows += b.dim(0);
      assertThat(b.dim(1)).isEqualTo(a.rows());
      assertThat(a.times(a.transposed()).minus(Matrix.identity(a.rows())).norm()).isLessThan(1e-5);
    }
    assertThat(rows).isEqualTo(32);
  }

  /** A high threshold leaves one direction to a group, a low one as many as are allowed. */
  @Test
  void dynamicRanksFollowTheThreshold() {
    Map<String, Object> dynamic = Map.of("subspace_rank", 3, "use_dynamic_rank", true);
    for (double threshold : new double[] {0.999, 0}) {
      Map<String, Object> settings = new HashMap<>(dynamic);
      settings.put("svd_threshold", threshold);
      AdaptedModel model = MethodCase.bert().attach(method(settings));
      for (int i = 0; i < 3; i++) {
        long rows = tensor(model, QUERY, "adamss_B." + i).dim(0);
        assertThat(tensor(model, QUERY, "adamss_A." + i).dim(0))
            .isEqualTo(threshold == 0 ? Math.min(3, rows) : 1);
      }
    }
  }

  @Test
  void anotherSeedFindsOtherDirectionsOfTheSameWeight() {
    AdaptedModel one = MethodCase.bert().attach(method(Map.of()));
    AdaptedModel other = MethodCase.bert().attach(method(Map.of("random_seed", 1)));
    assertThat(tensor(one, QUERY, "adamss_newB").contentEquals(tensor(other, QUERY, "adamss_newB")))
        .isFalse();
  }

  @Test
  void oneGroupHoldsAllRows() {
    AdaptedModel model = MethodCase.bert().attach(method(Map.of("num_subspaces", 1)));
    assertThat(tensor(model, QUERY, "adamss_B.0").dim(0)).isEqualTo(32);
    assertThat(SmallMethods.moved(model).merge().maxOutputDifference()).isLessThan(1e-5);
  }

  private static PretrainedModel bertWith(String initializer, Tensor values) {
    Graph graph = MethodCase.bert().graph();
    return PretrainedModel.of(graph.edit().initializer(initializer, values).build());
  }

  @Test
  void rowsOfWhichTooFewDifferAreRefused() {
    Graph graph = MethodCase.bert().graph();
    String weight = QUERY + ".weight";
    float[] same = new float[32 * 32];
    for (int i = 0; i < same.length; i++) {
      same[i] = i % 32;
    }
    Tensor zero = Tensor.zeros(DType.FLOAT32, 32);
    PretrainedModel base =
        PretrainedModel.of(
            graph
                .edit()
                .initializer(weight, Tensor.ofFloats(new long[] {32, 32}, same))
                .initializer(QUERY + ".bias", zero)
                .build());
    assertThatThrownBy(() -> base.attach(method(Map.of("rank", 1))))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining(QUERY)
        .hasMessageContaining("num_subspaces");
  }

  /** The groups would be those of the other weight, whatever their sizes. */
  @Test
  void aFileOfAnotherBaseModelIsRefusedByTheLayersName() {
    MethodCase golden = MethodCase.peft("adamss");
    String weight = "bert.encoder.layer.1.attention.self.value.weight";
    float[] values = golden.base().graph().initializer(weight).toFloats();
    for (int i = 0; i < 32; i++) {
      values[i] += 2;
    }
    PretrainedModel other = bertWith(weight, Tensor.ofFloats(new long[] {32, 32}, values));
    assertThatThrownBy(() -> other.load(golden.folder()))
        .isInstanceOf(CheckpointFormatException.class)
        .hasMessageContaining("bert.encoder.layer.1.attention.self.value")
        .hasMessageNotContaining("\n");
  }

  @Test
  void settingsOutsideTheirRangesAreRefused() {
    assertThatThrownBy(() -> method(Map.of("num_subspaces", 0)))
        .isInstanceOf(RecipeException.class)
        .hasMessageContaining("num_subspaces must be at least 1");
    assertThatThrownBy(() -> method(Map.of("use_asa", true, "init_warmup", 5, "final_warmup", 5)))
        .isInstanceOf(RecipeException.class)
        .hasMessageContaining("final_warmup must be more than 5");
    assertThatThrownBy(
            () -> MethodCase.bert().attach(method(Map.of("rank", 2, "subspace_rank", 3))))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("subspace_rank");
  }
}

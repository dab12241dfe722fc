package io.peft4j.compress.sparse;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.Checkpoints;
import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.RecipeException;
import io.peft4j.adapter.Targets;
import io.peft4j.compress.LinearLayers;
import io.peft4j.compress.StoredBatch;
import io.peft4j.compress.calibrate.Calibration;
import io.peft4j.compress.export.VerifiedExport;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.math.Matrix;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class SparsificationTest {
  private static final PretrainedModel BERT = Checkpoints.open(StoredBatch.BASE_BERT);
  private static final Calibration ROWS = Calibration.of(StoredBatch.baseBert());

  private static long zeros(Tensor tensor) {
    return Arrays.stream(tensor.toDoubles()).filter(v -> v == 0).count();
  }

  @ParameterizedTest
  @CsvSource({
    "MAGNITUDE, 0.5, MODEL", "MAGNITUDE, 0.3, LAYER", "MAGNITUDE, 0.5, ROW", "MAGNITUDE, 2:4,",
    "WANDA, 0.5, MODEL", "WANDA, 0.5, LAYER", "WANDA, 0.25, ROW", "WANDA, 2:4,",
    "SPARSEGPT, 0.5, LAYER", "SPARSEGPT, 0.25, ROW", "SPARSEGPT, 2:4,", "SPARSEGPT, 1:4,"
  })
  void everyWayGivesTheSparsityThatWasAskedFor(
      Importance importance, String amount, Pattern.Scope scope) {
    Pattern pattern =
        scope == null
            ? Pattern.parse(amount)
            : new Pattern.Share(Double.parseDouble(amount), scope);
    List<LayerSparsity> told = new ArrayList<>();
    SparseModel sparse = Sparsification.of(importance, pattern).apply(BERT, ROWS, told::add);
    Graph graph = sparse.model().graph();
    assertThat(sparse.layers()).hasSize(13).isEqualTo(told); // 6 a layer, and the pooler
    long weights = 0;
    long zeros = 0;
    for (LayerSparsity layer : sparse.layers()) {
      Tensor weight = graph.initializer(layer.path() + ".weight");
      assertThat(layer.zeros()).isEqualTo(zeros(weight));
      assertThat(layer.weights()).isEqualTo(weight.size());
      assertThat(layer.outputError().orElseThrow()).isBetween(0.001, 1.5);
      if (scope != Pattern.Scope.MODEL) {
        assertThat(layer.sparsity()).isCloseTo(pattern.target(), within(1.0 / weight.dim(1)));
      }
      weights += layer.weights();
      zeros += layer.zeros();
      if (pattern instanceof Pattern.NofM groups) {
        assertGroups(weight.toFloats(), groups);
      }
    }
    assertThat(sparse.sparsity()).isEqualTo((double) zeros / weights);
    assertThat(sparse.sparsity()).isCloseTo(pattern.target(), within(0.01));
    assertThat(graph.parameterCount()).isEqualTo(BERT.graph().parameterCount());
    assertThat(sparse.modelSparsity()).isBetween(0.1, sparse.sparsity());
    assertThat(graph.initializer("classifier.weight"))
        .isSameAs(BERT.graph().initializer("classifier.weight"));
  }

  private static org.assertj.core.data.Offset<Double> within(double offset) {
    return org.assertj.core.api.Assertions.within(offset);
  }

  private static void assertGroups(float[] weight, Pattern.NofM groups) {
    for (int from = 0; from < weight.length; from += groups.group()) {
      int kept = 0;
      for (int i = from; i < from + groups.group(); i++) {
        kept += weight[i] == 0 ? 0 : 1;
      }
      assertThat(kept).isEqualTo(groups.kept());
    }
  }

  @ParameterizedTest
  @EnumSource(Importance.class)
  void aSparseModelIsExportedAndReadAgain(Importance importance, @TempDir Path folder) {
    SparseModel sparse =
        Sparsification.of(importance, Pattern.share(0.5)).apply(BERT, ROWS, layer -> {});
    Path file = folder.resolve("sparse.onnx");
    assertThat(VerifiedExport.onnx(sparse.model(), file, 1e-4)).isLessThan(1e-4);
    Graph read = Checkpoints.open(file).graph();
    sparse
        .layers()
        .forEach(
            layer ->
                assertThat(
                        read.initializer(layer.path() + ".weight")
                            .contentEquals(
                                sparse.model().graph().initializer(layer.path() + ".weight")))
                    .isTrue());
    assertThat(read.metadata().get(SparseModel.METADATA_KEY))
        .contains("\"importance\":\"" + importance + "\"", "\"layers\":{\"bert.encoder");
  }

  /** In the second layer the data come from a first one that is sparse already. */
  @Test
  void laterLayersSeeWhatSparseLayersPassOn() {
    Pattern pattern = Pattern.share(0.6);
    Targets second = Targets.named(List.of("bert.encoder.layer.1.output.dense"));
    Targets first = Targets.named(List.of("bert.encoder.layer.0.output.dense"));
    Sparsification plan = Sparsification.of(Importance.WANDA, pattern);
    PretrainedModel half = plan.on(first).apply(BERT, ROWS, layer -> {}).model();
    Tensor expected =
        plan.on(second)
            .apply(half, ROWS, layer -> {})
            .model()
            .graph()
            .initializer("bert.encoder.layer.1.output.dense.weight");
    Targets both =
        Targets.named(
            List.of("bert.encoder.layer.0.output.dense", "bert.encoder.layer.1.output.dense"));
    Graph found = plan.on(both).apply(BERT, ROWS, layer -> {}).model().graph();
    assertThat(
            found.initializer("bert.encoder.layer.1.output.dense.weight").contentEquals(expected))
        .isTrue();
  }

  @Test
  void weightsLaidOutInFirstAreComparedByOutputToo() {
    Tensor weight = Tensor.ofFloats(new long[] {2, 4}, 1, 2, 3, 4, 8, 7, 6, 5);
    Graph plain = LinearLayers.of(Map.of("dense", weight)).graph();
    var editor = plain.edit().removeNodes(node -> node.is("Transpose"));
    editor.initializer("dense.weight", weight.transposed(1, 0));
    Graph turned =
        editor.replaceUses("/dense/Transpose_output_0", "dense.weight", node -> false).build();
    Sparsification plan =
        Sparsification.of(Importance.MAGNITUDE, new Pattern.Share(0.5, Pattern.Scope.ROW));
    Graph found = plan.apply(PretrainedModel.of(turned), null, layer -> {}).model().graph();
    assertThat(found.initializer("dense.weight").transposed(1, 0).toFloats())
        .containsExactly(0, 0, 3, 4, 8, 7, 0, 0);
  }

  @Test
  void whatDoesNotFitIsRefused() {
    Sparsification wanda = Sparsification.of(Importance.WANDA, Pattern.share(0.5));
    assertThatThrownBy(() -> wanda.apply(BERT, null, layer -> {}))
        .isInstanceOf(RecipeException.class)
        .hasMessageContaining("wanda needs calibration data");
    assertThatThrownBy(
            () ->
                Sparsification.of(
                    Importance.SPARSEGPT, new Pattern.Share(0.5, Pattern.Scope.MODEL)))
        .isInstanceOf(RecipeException.class);
    assertThatThrownBy(() -> Pattern.share(1)).isInstanceOf(RecipeException.class);
    assertThatThrownBy(() -> Pattern.share(Double.NaN)).isInstanceOf(RecipeException.class);
    assertThatThrownBy(() -> Pattern.parse("4:4")).isInstanceOf(RecipeException.class);
    assertThatThrownBy(() -> Pattern.parse("2/4"))
        .isInstanceOf(RecipeException.class)
        .hasMessageContaining("'2/4'");
    PretrainedModel odd =
        LinearLayers.of(Map.of("dense", Matrix.zeros(2, 6).toTensor(DType.FLOAT32)));
    for (Importance importance : Importance.values()) {
      assertThatThrownBy(
              () ->
                  Sparsification.of(importance, Pattern.parse("2:4"))
                      .apply(odd, LinearLayers.calibration(Matrix.zeros(3, 6)), layer -> {}))
          .isInstanceOf(PeftException.class)
          .hasMessageContaining("'dense' has 6 inputs");
    }
    assertThatThrownBy(
            () ->
                Sparsification.of(Importance.MAGNITUDE, Pattern.share(0.5))
                    .on(Targets.named(List.of("word_embeddings")))
                    .apply(BERT, null, layer -> {}))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("is no linear layer");
  }
}

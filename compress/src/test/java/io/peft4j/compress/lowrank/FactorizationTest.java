package io.peft4j.compress.lowrank;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.peft4j.Checkpoints;
import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.RecipeException;
import io.peft4j.UnsupportedModelException;
import io.peft4j.adapter.Targets;
import io.peft4j.compress.LinearLayers;
import io.peft4j.compress.StoredBatch;
import io.peft4j.compress.calibrate.Calibration;
import io.peft4j.compress.export.VerifiedExport;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.InferenceEngines;
import io.peft4j.engine.OutputDifference;
import io.peft4j.engine.ProbeInputs;
import io.peft4j.engine.Program;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.format.Formats;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.loaders.safetensors.SafeTensors;
import io.peft4j.math.Matrix;
import io.peft4j.site.LinearSite;
import io.peft4j.site.Role;
import io.peft4j.site.Sites;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class FactorizationTest {
  private static final Map<String, Tensor> GOLDEN =
      SafeTensors.read(Path.of("src/test/resources/compression/lowrank.safetensors")).tensors();
  private static final PretrainedModel BERT = Checkpoints.open(StoredBatch.BASE_BERT);
  private static final Calibration ROWS = Calibration.of(StoredBatch.baseBert());

  private static PretrainedModel golden() {
    return LinearLayers.of(Map.of("dense", GOLDEN.get("weight")));
  }

  /** What the two layers make together, [out, in]. */
  private static double[] product(Graph graph, String path) {
    Matrix down = Matrix.of(graph.initializer(path + ".0.weight"));
    Matrix up = Matrix.of(graph.initializer(path + ".1.weight"));
    return down.times(up).transposed().values();
  }

  private static Tensor logits(Graph graph) {
    try (TorchProgram program = TorchEngine.compile(graph, CompileOptions.evaluation())) {
      return program.run(StoredBatch.baseBert().inputs()).get("logits");
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 8, 20})
  void truncatedProductsAreThoseOfTheReference(int rank) {
    LowRankModel found =
        Factorization.of(new RankRule.Fixed(rank)).apply(golden(), null, layer -> {});
    assertThat(product(found.model().graph(), "dense"))
        .containsExactly(GOLDEN.get("rank" + rank).toDoubles(), within(1e-5));
    assertThat(found.layers().get(0).weightError())
        .isCloseTo(GOLDEN.get("rank" + rank + ".relative_error").item(), within(1e-5));
    assertThat(found.layers().get(0).outputError()).isEmpty();
    assertThat(found.model().graph().parameterCount()).isEqualTo(rank * (72 + 32L));
  }

  @Test
  void productsByActivationsAreThoseOfTheReference() {
    Calibration rows = LinearLayers.calibration(GOLDEN.get("inputs"));
    Factorization plain = Factorization.of(new RankRule.Fixed(8));
    LowRankModel found = plain.byActivations().withDamping(0).apply(golden(), rows, layer -> {});
    assertThat(product(found.model().graph(), "dense"))
        .containsExactly(GOLDEN.get("activation_rank8").toDoubles(), within(1e-5));
    Matrix x = Matrix.of(GOLDEN.get("inputs"));
    double whole = x.times(Matrix.of(GOLDEN.get("weight")).transposed()).norm();
    assertThat(found.layers().get(0).outputError().orElseThrow() * whole)
        .isCloseTo(GOLDEN.get("activation_rank8.output_error").item(), within(1e-4));
    double worse =
        plain.apply(golden(), rows, layer -> {}).layers().get(0).outputError().orElseThrow();
    assertThat(worse * whole)
        .isCloseTo(GOLDEN.get("plain_rank8.output_error").item(), within(1e-4));
  }

  @Test
  void theRankFollowsFromTheSpectrum() {
    double[] singular = GOLDEN.get("singular_values").toDoubles();
    double total = java.util.Arrays.stream(singular).map(s -> s * s).sum();
    for (int rank = 1; rank <= 32; rank++) {
      double kept = java.util.Arrays.stream(singular).limit(rank).map(s -> s * s).sum();
      assertThat(new RankRule.Energy(kept / total - 1e-9).rank(72, 32, singular)).isEqualTo(rank);
    }
    assertThat(new RankRule.Energy(1).rank(72, 32, singular)).isEqualTo(32);
    // 0.5 · 72 · 32 / 104 = 11.08
    assertThat(new RankRule.Saving(0.5).rank(72, 32, singular)).isEqualTo(11);
    assertThat(new RankRule.Saving(0.999).rank(72, 32, singular)).isEqualTo(1);
  }

  @ParameterizedTest
  @ValueSource(doubles = {0.5, 0.8, 0.9})
  void noLayerLosesMoreThanItsEnergyAllows(double share) {
    LowRankModel plain =
        Factorization.of(new RankRule.Energy(share)).apply(BERT, ROWS, layer -> {});
    LowRankModel aware =
        Factorization.of(new RankRule.Energy(share)).byActivations().apply(BERT, ROWS, layer -> {});
    for (int i = 0; i < plain.layers().size(); i++) {
      assertThat(plain.layers().get(i).weightError()).isLessThanOrEqualTo(Math.sqrt(1 - share));
      LayerRank layer = aware.layers().get(i);
      assertThat(layer.outputError().orElseThrow()).isLessThanOrEqualTo(Math.sqrt(1 - share));
      assertThat(layer.split())
          .isEqualTo(layer.rank() * (layer.in() + layer.out()) < layer.in() * layer.out());
    }
  }

  @Test
  void byActivationsTheOutputErrorIsNoLarger() {
    Factorization plain = Factorization.of(new RankRule.Saving(0.4));
    List<LayerRank> weights = plain.apply(BERT, ROWS, layer -> {}).layers();
    List<LayerRank> outputs =
        plain.byActivations().withDamping(1e-9).apply(BERT, ROWS, layer -> {}).layers();
    for (int i = 0; i < weights.size(); i++) {
      assertThat(outputs.get(i).rank()).isEqualTo(weights.get(i).rank());
      assertThat(outputs.get(i).outputError().orElseThrow())
          .isLessThanOrEqualTo(weights.get(i).outputError().orElseThrow() + 1e-6);
      assertThat(outputs.get(i).weightError())
          .isGreaterThanOrEqualTo(weights.get(i).weightError() - 1e-6);
    }
  }

  @Test
  void aModelOfLowRankIsSmallerAndKeepsItsSitesInBothEngines(@TempDir Path folder) {
    LowRankModel found =
        Factorization.of(new RankRule.Saving(0.5)).byActivations().apply(BERT, ROWS, layer -> {});
    Graph graph = found.model().graph();
    long before = found.layers().stream().mapToLong(LayerRank::weightsBefore).sum();
    long after = found.layers().stream().mapToLong(LayerRank::weightsAfter).sum();
    assertThat(found.layers()).hasSize(13).allMatch(LayerRank::split);
    assertThat(after).isLessThanOrEqualTo(before / 2);
    assertThat(BERT.graph().parameterCount() - graph.parameterCount()).isEqualTo(before - after);

    Sites sites = Sites.of(graph);
    assertThat(sites.linears()).hasSize(27); // twice 13, and the head
    assertThat(sites.attentions()).hasSize(2);
    assertThat(sites.feedForwards()).hasSize(2);
    LinearSite down = sites.linear("bert.encoder.layer.1.output.dense.0").orElseThrow();
    LinearSite up = sites.linear("bert.encoder.layer.1.output.dense.1").orElseThrow();
    assertThat(down.role()).isEqualTo(Role.FEED_FORWARD_DOWN);
    assertThat(down.outFeatures()).isEqualTo(up.inFeatures()).isEqualTo(11);
    assertThat(down.bias()).isNull();
    assertThat(up.bias()).isEqualTo("bert.encoder.layer.1.output.dense.bias");

    Path file = folder.resolve("low.onnx");
    assertThat(VerifiedExport.onnx(found.model(), file, 1e-4)).isLessThan(1e-4);
    Graph read = Checkpoints.open(file).graph();
    assertThat(OutputDifference.largest(logits(read), logits(graph))).isZero();
    assertThat(Sites.of(read).linears()).isEqualTo(sites.linears());
    assertThat(read.metadata().get(LowRankModel.METADATA_KEY))
        .contains("\"bert.encoder.layer.1.output.dense\":11");
  }

  /** Weights of a rank that is low already are split without any loss. */
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void whatHasALowRankIsSplitExactly(boolean activations) {
    Random random = new Random(5);
    String name = "bert.encoder.layer.0.intermediate.dense";
    Matrix weight =
        LinearLayers.normal(72, 5, random).times(LinearLayers.normal(5, 32, random)).scaled(0.05);
    Graph low =
        BERT.graph().edit().initializer(name + ".weight", weight.toTensor(DType.FLOAT32)).build();
    PretrainedModel model = new PretrainedModel(BERT.checkpoint().withGraph(low));
    Factorization plan =
        Factorization.of(new RankRule.Energy(1 - 1e-10)).on(Targets.named(List.of(name)));
    LowRankModel found =
        (activations ? plan.byActivations() : plan).apply(model, ROWS, layer -> {});
    LayerRank layer = found.layers().get(0);
    assertThat(layer.rank()).isEqualTo(5);
    assertThat(layer.split()).isTrue();
    assertThat(layer.weightError()).isLessThan(1e-5);
    assertThat(OutputDifference.largest(logits(low), logits(found.model().graph())))
        .isLessThan(1e-5);
  }

  @Test
  void aGemmIsSplitWithItsBias() {
    Random random = new Random(6);
    Matrix weight = LinearLayers.normal(8, 2, random).times(LinearLayers.normal(2, 6, random));
    GraphEditor editor = new GraphEditor("gemm");
    editor.input(Value.of("x", DType.FLOAT32, "batch", 6));
    editor.initializer("dense.weight", weight.toTensor(DType.FLOAT32));
    editor.initializer("dense.bias", Tensor.ofFloats(new long[] {8}, 1, 2, 3, 4, 5, 6, 7, 8));
    String y =
        editor.node(
            "/dense/Gemm",
            "Gemm",
            List.of("x", "dense.weight", "dense.bias"),
            Map.of("transB", Attribute.of(1L)));
    editor.output(Value.of(editor.node("/Relu", "Relu", List.of(y)), DType.FLOAT32, "batch", 8));
    Graph graph = editor.build();
    LowRankModel found =
        Factorization.of(new RankRule.Fixed(2)).apply(PretrainedModel.of(graph), null, layer -> {});
    Graph low = found.model().graph();
    assertThat(low.initializers())
        .containsOnlyKeys("dense.bias", "dense.0.weight", "dense.1.weight");
    assertThat(Sites.of(low).linears())
        .extracting(LinearSite::path)
        .containsExactly("dense.0", "dense.1");
    Map<String, Tensor> probe = ProbeInputs.of(graph);
    for (String engine : List.of("torch", "onnxruntime")) {
      try (Program before = program(engine, graph);
          Program after = program(engine, low)) {
        assertThat(OutputDifference.largest(before.run(probe), after.run(probe))).isLessThan(1e-4);
      }
    }
  }

  private static Program program(String engine, Graph graph) {
    return engine.equals("torch")
        ? TorchEngine.compile(graph, CompileOptions.evaluation())
        : InferenceEngines.named(engine).compile(graph);
  }

  @Test
  void aWeightThatATableSharesIsLeftAsItIs() {
    GraphEditor editor = new GraphEditor("tied");
    editor.input(Value.of("ids", DType.INT64, "batch"));
    editor.initializer("table", LinearLayers.normal(20, 10, new Random(7)).toTensor(DType.FLOAT32));
    String x = editor.node("/Gather", "Gather", List.of("table", "ids"));
    String turned =
        editor.node(
            "/t/Transpose", "Transpose", List.of("table"), Map.of("perm", Attribute.ofInts(1, 0)));
    String y = editor.node("/scores/MatMul", "MatMul", List.of(x, turned));
    editor.output(Value.of(editor.node("/Relu", "Relu", List.of(y)), DType.FLOAT32, "batch", 20));
    Graph graph = editor.build();
    LowRankModel found =
        Factorization.of(new RankRule.Fixed(2)).apply(PretrainedModel.of(graph), null, layer -> {});
    assertThat(found.layers().get(0).split()).isFalse();
    assertThat(found.layers().get(0).weightError()).isZero();
    assertThat(found.layers().get(0).weightsAfter()).isEqualTo(200);
    assertThat(found.model().graph().nodes()).isEqualTo(graph.nodes());
    assertThat(found.model().graph().initializers()).isEqualTo(graph.initializers());
  }

  @Test
  void weightsInHalfPrecisionStayInIt() {
    String name = "bert.encoder.layer.0.intermediate.dense";
    Graph plain = BERT.graph();
    var editor = plain.edit();
    Tensor half = plain.initializer(name + ".weight").cast(DType.FLOAT16);
    editor.initializer(name + ".weight", half);
    String cast =
        editor.node("/cast", "Cast", List.of(name + ".weight"), Map.of("to", Attribute.of(1L)));
    editor.replaceUses(name + ".weight", cast, node -> node.is("Cast"));
    PretrainedModel model = new PretrainedModel(BERT.checkpoint().withGraph(editor.build()));
    LowRankModel found =
        Factorization.of(new RankRule.Energy(0.9))
            .on(Targets.named(List.of(name)))
            .apply(model, null, layer -> {});
    assertThat(found.model().graph().initializer(name + ".0.weight").dtype())
        .isEqualTo(DType.FLOAT16);
    assertThat(OutputDifference.largest(logits(model.graph()), logits(found.model().graph())))
        .isLessThan(0.2);
  }

  @Test
  void aFormatThatCannotHoldTheShapesRefuses(@TempDir Path folder) {
    LowRankModel found = Factorization.of(new RankRule.Saving(0.5)).apply(BERT, null, layer -> {});
    Path target = folder.resolve("low");
    assertThatThrownBy(
            () ->
                Formats.modelNamed("safetensors")
                    .write(found.model().checkpoint(), found.model().graph(), target))
        .isInstanceOf(UnsupportedModelException.class);
    assertThat(Files.exists(target)).isFalse();
  }

  @Test
  void whatDoesNotFitIsRefused() {
    assertThatThrownBy(() -> new RankRule.Fixed(0)).isInstanceOf(RecipeException.class);
    assertThatThrownBy(() -> new RankRule.Energy(1.1)).isInstanceOf(RecipeException.class);
    assertThatThrownBy(() -> new RankRule.Saving(1)).isInstanceOf(RecipeException.class);
    Factorization plan = Factorization.of(new RankRule.Saving(0.5));
    assertThatThrownBy(() -> plan.byActivations().apply(BERT, null, layer -> {}))
        .isInstanceOf(RecipeException.class)
        .hasMessageContaining("calibration data");
    assertThatThrownBy(() -> plan.byActivations().withDamping(0).apply(BERT, ROWS, layer -> {}))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("do not show every input of layer 'bert.");
    assertThatThrownBy(
            () -> plan.on(Targets.named(List.of("LayerNorm"))).apply(BERT, null, layer -> {}))
        .isInstanceOf(PeftException.class);
  }
}

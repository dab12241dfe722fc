package io.peft4j.compress.prune;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.Checkpoints;
import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.RecipeException;
import io.peft4j.UnsupportedModelException;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.OutputDifference;
import io.peft4j.engine.Program;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.loaders.safetensors.SafeTensors;
import io.peft4j.task.Loss;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class PruningTest {
  private static final Path RESOURCES = Path.of("src/test/resources");
  private static final Map<String, Tensor> GOLDEN =
      SafeTensors.read(RESOURCES.resolve("compression/importance.safetensors")).tensors();
  private static final OneBatch ROWS = OneBatch.of(GOLDEN);
  private static final PretrainedModel BERT = Checkpoints.open(RESOURCES.resolve("base-bert"));

  @TempDir private Path folder;

  private static PrunedModel prune(Pruning pruning) {
    return pruning.prune(BERT, ROWS, Loss.CROSS_ENTROPY, "logits");
  }

  private static List<Integer> left(PrunedModel pruned) {
    return pruned.blocks().stream().map(PrunedModel.Kept::after).toList();
  }

  @ParameterizedTest
  @EnumSource(Importance.class)
  void everyImportanceTakesTheShareOutUnevenly(Importance importance) {
    PrunedModel pruned = prune(Pruning.of(Target.share(0.4), Structure.NEURONS).by(importance));
    assertThat(left(pruned).stream().mapToInt(Integer::intValue).sum()).isEqualTo(86);
    assertThat(
            pruned.model().graph().initializer("bert.encoder.layer.0.output.dense.weight").dim(1))
        .isEqualTo(left(pruned).get(0).longValue());
  }

  @Test
  void evenCutsLeaveLayersAlike() {
    assertThat(left(prune(Pruning.of(Target.share(0.25), Structure.NEURONS).evenly())))
        .containsExactly(54, 54);
  }

  @Test
  void stepsArriveAtTheSameShare() {
    Pruning pruning = Pruning.of(Target.share(0.5), Structure.NEURONS, Structure.HEADS);
    PrunedModel pruned = prune(pruning.inSteps(3));
    assertThat(
            pruned.blocks().stream()
                .filter(k -> k.structure() == Structure.NEURONS)
                .mapToInt(PrunedModel.Kept::after)
                .sum())
        .isEqualTo(72);
    assertThat(pruned.blocks()).extracting(PrunedModel.Kept::before).contains(72, 4);
  }

  @Test
  void oneUnitOfEachBlockStays() {
    PrunedModel two = prune(Pruning.of(Target.share(0.75), Structure.HEADS).inSteps(3));
    assertThat(left(two)).containsExactly(1, 1);
    assertThatThrownBy(() -> prune(Pruning.of(Target.share(0.9), Structure.HEADS)))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("of the 8 heads cannot go")
        .hasMessageContaining("2 at least");
    assertThatThrownBy(() -> prune(Pruning.of(Target.share(0.9), Structure.LAYERS)))
        .hasMessageContaining("of the 2 layers cannot go");
  }

  @Test
  void blocksOfLayersThatGoAreNotListed() {
    PrunedModel pruned =
        prune(Pruning.of(Target.share(0.5), Structure.LAYERS, Structure.NEURONS).inSteps(2));
    assertThat(pruned.blocks()).extracting(PrunedModel.Kept::before).containsExactly(2, 72);
    assertThat(left(pruned)).containsExactly(1, 36);
  }

  @Test
  void theLeastWorthyGoFirst() {
    Dependencies dependencies = new Dependencies(BERT.graph(), ValueShapes.of(BERT.graph()));
    List<Block> blocks = Blocks.of(dependencies, Structure.NEURONS);
    Map<Block, double[]> scores =
        Map.of(blocks.get(0), new double[] {5, 1, 4}, blocks.get(1), new double[] {20, 3, 30});
    Ranking plain = Ranking.of(scores, true, block -> 1);
    assertThat(plain.order()).extracting(Ranking.Unit::worth).containsExactly(1.0, 3.0, 4.0, 20.0);
    Ranking relative = Ranking.of(scores, false, block -> 1); // means 10/3 and 53/3
    assertThat(relative.order().get(0).block()).isSameAs(blocks.get(1));
  }

  @Test
  void layersGoByTheLossWithoutThem() {
    PrunedModel pruned = prune(Pruning.of(Target.share(0.5), Structure.LAYERS));
    assertThat(left(pruned)).containsExactly(1);
    Graph first = LayerPruning.keep(BERT.graph(), Set.of(0));
    Graph second = LayerPruning.keep(BERT.graph(), Set.of(1));
    Graph better = loss(first) < loss(second) ? first : second;
    Map<String, Tensor> inputs = Calibration.inputs(better, ROWS.tensors());
    assertThat(OutputDifference.largest(run(better, inputs), run(pruned.model().graph(), inputs)))
        .isZero();
  }

  private static double loss(Graph graph) {
    return run(Loss.CROSS_ENTROPY.attach(graph, "logits"), ROWS.tensors())
        .getOrDefault("loss", Tensor.scalar(Float.NaN))
        .item();
  }

  private static Map<String, Tensor> run(Graph graph, Map<String, Tensor> inputs) {
    try (Program program = TorchEngine.compile(graph, CompileOptions.evaluation())) {
      return program.run(inputs);
    }
  }

  @Test
  void layersGoByHowLittleTheyTurnTheirStream() {
    Calibration data = new Calibration(ROWS, Loss.CROSS_ENTROPY, "logits", 6);
    assertThat(LayerRanking.best(BERT.graph(), 1, Importance.ACTIVATION, data)).hasSize(1);
    assertThat(LayerRanking.best(BERT.graph(), 1, Importance.MAGNITUDE, data))
        .containsExactly(1); // the last of an even spread
  }

  @Test
  void evenCutsAndLayersAreWrittenAsACheckpoint() {
    PrunedModel pruned =
        prune(Pruning.of(Target.share(0.5), Structure.NEURONS, Structure.LAYERS).evenly());
    Path target = folder.resolve("even");
    EvenCheckpoint.write(pruned, target);
    Graph read = Checkpoints.open(target).graph();
    assertThat(read.initializer("bert.encoder.layer.0.output.dense.weight").dim(1)).isEqualTo(36);
    assertThat(read.initializers()).doesNotContainKey("bert.encoder.layer.1.output.dense.weight");
    assertThat(read.parameterCount()).isEqualTo(pruned.after().parameters());
  }

  @ParameterizedTest
  @ValueSource(strings = {"base-gpt2", "base-llama"})
  void evenDecodersAreWrittenAsACheckpoint(String name) {
    PrunedModel pruned =
        Pruning.of(Target.share(0.5), Structure.NEURONS, Structure.LAYERS)
            .by(Importance.MAGNITUDE)
            .evenly()
            .prune(Checkpoints.open(RESOURCES.resolve(name)));
    Path target = folder.resolve("even");
    EvenCheckpoint.write(pruned, target);
    assertThat(Checkpoints.open(target).graph().parameterCount())
        .isEqualTo(pruned.after().parameters());
  }

  @Test
  void unevenCutsAreNoCheckpoint() {
    PrunedModel uneven = prune(Pruning.of(Target.share(0.4), Structure.NEURONS));
    Path target = folder.resolve("uneven");
    assertThatThrownBy(() -> EvenCheckpoint.write(uneven, target))
        .isInstanceOf(UnsupportedModelException.class)
        .hasMessageContaining("its 'intermediate_size' holds for all layers")
        .hasMessageContaining("write it as ONNX");
    assertThat(target).doesNotExist();
    PrunedModel heads = prune(Pruning.of(Target.share(0.25), Structure.HEADS).evenly());
    assertThatThrownBy(() -> EvenCheckpoint.write(heads, target))
        .hasMessageContaining("no number of heads to change");
  }

  /** Nearly all of the time is the hidden layer's, so that any measurement finds a way. */
  @Test
  void neuronsGoUntilTheMeasuredTimeIsReached() {
    GraphEditor editor = new GraphEditor("wide");
    editor.input(Value.of("x", DType.FLOAT32, "batch", 512));
    editor.initializer("up", ones(512, 8192));
    editor.initializer("down", ones(8192, 3));
    String up = editor.node("/up", "MatMul", List.of("x", "up"));
    String act = editor.node("/act", "Relu", List.of(up));
    editor.add(Node.of("/down", "MatMul", List.of(act, "down"), List.of("y"), Map.of()));
    Graph wide = editor.output(Value.of("y", DType.FLOAT32, "batch", 3)).build();
    PrunedModel pruned =
        Pruning.of(Target.latency(0.5), Structure.NEURONS)
            .by(Importance.MAGNITUDE)
            .prune(PretrainedModel.of(wide));
    assertThat(left(pruned).get(0)).isBetween(1, 8191);
    assertThat(pruned.after().flops()).isLessThan(pruned.before().flops());
  }

  private static Tensor ones(long... shape) {
    float[] values = new float[Math.toIntExact(Tensor.elements(shape))];
    Arrays.fill(values, 0.001f);
    return Tensor.ofFloats(shape, values);
  }

  @Test
  void targetsThatCannotBeReachedAreRefused() {
    assertThatThrownBy(() -> prune(Pruning.of(Target.parameters(10), Structure.NEURONS)))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("the fewest that the chosen structures leave");
    assertThatThrownBy(() -> Target.share(1)).isInstanceOf(RecipeException.class);
    assertThatThrownBy(() -> Pruning.of(Target.flops(0.2), Structure.LAYERS))
        .isInstanceOf(RecipeException.class)
        .hasMessageContaining("target must be a share");
    assertThatThrownBy(
            () ->
                Pruning.of(Target.share(0.3), Structure.CHANNELS)
                    .by(Importance.MAGNITUDE)
                    .prune(BERT))
        .hasMessageContaining("has no channels that could be pruned");
  }
}

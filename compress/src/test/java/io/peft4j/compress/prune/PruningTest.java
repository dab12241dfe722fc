package io.peft4j.compress.prune;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.Checkpoints;
import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.RecipeException;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.OutputDifference;
import io.peft4j.engine.Program;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import io.peft4j.task.Loss;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class PruningTest {
  private static final Path RESOURCES = Path.of("src/test/resources");
  private static final Map<String, Tensor> GOLDEN =
      SafeTensors.read(RESOURCES.resolve("compression/importance.safetensors")).tensors();
  private static final OneBatch ROWS = OneBatch.of(GOLDEN);
  private static final PretrainedModel BERT = Checkpoints.open(RESOURCES.resolve("base-bert"));

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
  void latencyIsMeasured() {
    PrunedModel pruned = prune(Pruning.of(Target.latency(0), Structure.NEURONS));
    assertThat(pruned.after().parameters()).isLessThanOrEqualTo(pruned.before().parameters());
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

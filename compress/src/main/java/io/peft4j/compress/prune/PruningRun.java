package io.peft4j.compress.prune;

import static java.util.Objects.requireNonNull;

import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.engine.ProbeInputs;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.site.Sites;
import java.util.BitSet;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.IntToLongFunction;
import java.util.function.ToDoubleFunction;

/** One pruning from start to end. */
final class PruningRun {
  /** The training after a step. */
  @FunctionalInterface
  interface Trained {
    PretrainedModel after(PretrainedModel original, PretrainedModel pruned);
  }

  private final Pruning pruning;
  private final PretrainedModel original;
  private final Calibration calibration;
  private final Trained training;
  private final Map<String, Tensor> sizedBy;

  /** Units of each block before the first step. */
  private final Map<String, PrunedModel.Kept> kept = new LinkedHashMap<>();

  PruningRun(Pruning pruning, PretrainedModel model, Calibration calibration, Trained training) {
    this.pruning = pruning;
    original = model;
    this.calibration = calibration;
    this.training = training;
    sizedBy =
        calibration.rows().size() == 0
            ? ProbeInputs.of(model.graph())
            : Calibration.middle(model.graph(), calibration.rows());
  }

  PrunedModel run() {
    PretrainedModel model = original;
    ModelSize before = ModelSize.of(model.graph(), sizedBy);
    double difference = 0;
    for (int step = 1; step <= pruning.steps(); step++) {
      double progress = step / (double) pruning.steps();
      Graph graph = withoutLayers(model.graph(), progress);
      Dependencies dependencies = new Dependencies(graph, ValueShapes.of(graph, sizedBy));
      Removal removal = choose(dependencies, progress, before);
      if (removal.count() > 0) {
        Removal.Outcome outcome = removal.apply(dependencies);
        difference = Math.max(difference, outcome.maskedDifference());
        note(removal);
        graph = outcome.graph();
      }
      if (!graph.equals(model.graph())) {
        PretrainedModel cut = new PretrainedModel(model.checkpoint().withGraph(graph));
        model = training.after(original, cut);
      }
    }
    return new PrunedModel(
        model,
        List.copyOf(kept.values()),
        before,
        ModelSize.of(model.graph(), sizedBy),
        difference);
  }

  private Graph withoutLayers(Graph graph, double progress) {
    if (!pruning.structures().contains(Structure.LAYERS)
        || !(pruning.target() instanceof Target.Share share)) {
      return graph;
    }
    int now = LayerPruning.count(graph);
    String key = Structure.LAYERS.label();
    PrunedModel.Kept first =
        kept.computeIfAbsent(key, k -> new PrunedModel.Kept(Structure.LAYERS, k, now, now));
    int left = (int) Math.round(first.before() * (1 - share.removed() * progress));
    if (left < 1) {
      throw tooMuch(share.removed(), Structure.LAYERS, 1, first.before());
    }
    kept.put(key, new PrunedModel.Kept(Structure.LAYERS, key, first.before(), left));
    if (left == now) {
      return graph;
    }
    Graph shorter =
        LayerPruning.keep(graph, LayerRanking.best(graph, left, pruning.importance(), calibration));
    forgetBlocksOutside(Sites.of(shorter));
    return shorter;
  }

  private void forgetBlocksOutside(Sites sites) {
    Set<String> paths = new HashSet<>();
    sites.feedForwards().forEach(site -> paths.add(site.path()));
    sites.attentions().forEach(site -> paths.add(site.path()));
    Set<Structure> inLayers = Set.of(Structure.NEURONS, Structure.HEADS);
    kept.values().removeIf(k -> inLayers.contains(k.structure()) && !paths.contains(k.path()));
  }

  private static PeftException tooMuch(double share, Structure structure, long least, long all) {
    return new PeftException(
        "a share of %s of the %d %s cannot go, since one of each block stays: %d at least; take a smaller share"
            .formatted(share, all, structure.label(), least));
  }

  private void note(Removal removal) {
    removal
        .units()
        .forEach(
            (block, gone) ->
                kept.computeIfPresent(
                    key(block),
                    (key, now) ->
                        new PrunedModel.Kept(
                            now.structure(),
                            now.path(),
                            now.before(),
                            block.units() - gone.cardinality())));
  }

  private static String key(Block block) {
    return block.structure().label() + " " + block.path();
  }

  private Removal choose(Dependencies dependencies, double progress, ModelSize before) {
    Map<Structure, List<Block>> found = new LinkedHashMap<>();
    for (Structure structure : pruning.structures()) {
      if (structure == Structure.LAYERS) {
        continue;
      }
      List<Block> blocks = Blocks.of(dependencies, structure);
      found.put(structure, blocks);
      blocks.forEach(
          b ->
              kept.putIfAbsent(
                  key(b), new PrunedModel.Kept(structure, b.path(), b.units(), b.units())));
    }
    List<Block> all = found.values().stream().flatMap(List::stream).toList();
    if (all.isEmpty()) {
      return new Removal(Map.of());
    }
    Map<Block, double[]> scores =
        UnitScores.of(dependencies, all, pruning.importance(), calibration);
    Target target = pruning.target();
    if (target instanceof Target.Share share) {
      return shares(found, scores, share.removed() * progress);
    }
    Counting counting = new Counting(dependencies);
    if (target instanceof Target.Parameters most) {
      Ranking ranking = ranking(scores, counting::parametersOf);
      long goal = before.parameters() - Math.round((before.parameters() - most.most()) * progress);
      return least(ranking, n -> counting.parameters(ranking.first(n)), goal, "parameters");
    }
    if (target instanceof Target.Flops flops) {
      Ranking ranking = ranking(scores, counting::macsOf);
      long goal = Math.round(before.flops() * (1 - flops.removed() * progress));
      return least(ranking, n -> 2 * counting.macs(ranking.first(n)), goal, "operations");
    }
    Target.Latency latency = (Target.Latency) target;
    Ranking ranking = ranking(scores, counting::macsOf);
    MeasuredLatency measured = new MeasuredLatency(sizedBy);
    long goal = Math.round(measured.of(original.graph()) * (1 - latency.removed() * progress));
    return least(
        ranking,
        n -> measured.of(Cutting.remove(dependencies, ranking.first(n).entries())),
        goal,
        "nanoseconds");
  }

  private Ranking ranking(Map<Block, double[]> scores, ToDoubleFunction<Block> cost) {
    return Ranking.of(scores, pruning.importance().ofLoss(), cost);
  }

  private Removal shares(
      Map<Structure, List<Block>> found, Map<Block, double[]> scores, double removed) {
    Map<Block, BitSet> units = new LinkedHashMap<>();
    found.forEach(
        (structure, blocks) -> {
          Map<Block, double[]> own = new LinkedHashMap<>();
          blocks.forEach(block -> own.put(block, scores.getOrDefault(block, new double[0])));
          if (pruning.even()) {
            own.forEach(
                (block, values) ->
                    units.putAll(
                        share(
                                Map.of(block, values),
                                List.of(requireNonNull(kept.get(key(block)))),
                                removed)
                            .units()));
          } else {
            List<PrunedModel.Kept> all =
                kept.values().stream().filter(k -> k.structure() == structure).toList();
            units.putAll(share(own, all, removed).units());
          }
        });
    return new Removal(units);
  }

  /** So many of some blocks' units that a share of those before the first step is gone. */
  private Removal share(
      Map<Block, double[]> scores, List<PrunedModel.Kept> blocks, double removed) {
    Ranking ranking = ranking(scores, block -> 1);
    int now = blocks.stream().mapToInt(PrunedModel.Kept::after).sum();
    int first = blocks.stream().mapToInt(PrunedModel.Kept::before).sum();
    int count = Math.max(0, now - (int) Math.round(first * (1 - removed)));
    if (count > ranking.size()) {
      throw tooMuch(removed, blocks.get(0).structure(), now - ranking.size(), first);
    }
    return ranking.first(count);
  }

  /** The fewest units without which a count is at most a goal. */
  private static Removal least(Ranking ranking, IntToLongFunction count, long goal, String what) {
    int low = 0;
    int high = ranking.size();
    if (count.applyAsLong(high) > goal) {
      throw new PeftException(
          "pruning cannot go down to %d %s: the fewest that the chosen structures leave are %d; choose more structures or a nearer target"
              .formatted(goal, what, count.applyAsLong(high)));
    }
    while (low < high) {
      int middle = (low + high) / 2;
      if (count.applyAsLong(middle) <= goal) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return ranking.first(high);
  }
}

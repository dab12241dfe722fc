package io.peft4j.compress.lowrank;

import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.RecipeException;
import io.peft4j.adapter.Targets;
import io.peft4j.compress.calibrate.Calibration;
import io.peft4j.compress.calibrate.InputMoments;
import io.peft4j.format.Checkpoint;
import io.peft4j.graph.Graph;
import io.peft4j.math.Matrix;
import io.peft4j.site.LinearSite;
import io.peft4j.site.Site;
import io.peft4j.site.Sites;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Splits linear layers y = x Wᵀ + b into two of a low rank, y = (x Aᵀ) Bᵀ + b, where that has fewer
 * parameters.
 *
 * @param rule which rank
 * @param activations whether the error of a layer's output on the calibration data is made least,
 *     rather than that of its weight
 * @param damping with activations: how much an input counts that the data do not show, as a share
 *     of the mean square of those they do; 0 needs data that show every direction
 * @param targets which layers
 */
public record Factorization(RankRule rule, boolean activations, double damping, Targets targets) {
  private static final double DAMPING = 1e-3;

  public Factorization {
    if (!(damping >= 0 && damping < Double.POSITIVE_INFINITY)) {
      throw new RecipeException("damping must not be negative, was " + damping);
    }
  }

  /** All linear layers but the head, by their weights alone. */
  public static Factorization of(RankRule rule) {
    return new Factorization(rule, false, DAMPING, Targets.allLinear());
  }

  /** The error of outputs on calibration data is made least. */
  public Factorization byActivations() {
    return new Factorization(rule, true, damping, targets);
  }

  public Factorization withDamping(double newDamping) {
    return new Factorization(rule, activations, newDamping, targets);
  }

  public Factorization on(Targets newTargets) {
    return new Factorization(rule, activations, damping, newTargets);
  }

  /**
   * Splits the layers of a model.
   *
   * @param calibration examples; without activations it may be null and else serves to tell the
   *     error
   * @param progress told of each layer when it is done
   * @throws PeftException if the targets match nothing or something that is no linear layer, or the
   *     data leave a direction undecided that damping is to decide
   */
  public LowRankModel apply(
      PretrainedModel model, @Nullable Calibration calibration, Consumer<LayerRank> progress) {
    if (calibration == null && activations) {
      throw new RecipeException("activations need calibration data; give a data file");
    }
    Graph graph = model.graph();
    List<LayerRank> layers = new ArrayList<>();
    for (List<LinearSite> sites : byWeight(model.graph())) {
      InputMoments moments = null;
      if (calibration != null) {
        List<String> inputs = sites.stream().map(LinearSite::input).distinct().toList();
        moments = calibration.moments(model.graph(), inputs);
      }
      Split split = split(graph, sites, moments);
      graph = split.graph();
      layers.add(split.layer());
      progress.accept(split.layer());
    }
    graph = graph.edit().metadata(LowRankModel.METADATA_KEY, note(layers)).build();
    return new LowRankModel(new PretrainedModel(model.checkpoint().withGraph(graph)), layers);
  }

  private record Split(Graph graph, LayerRank layer) {}

  private Split split(Graph graph, List<LinearSite> sites, @Nullable InputMoments moments) {
    LinearSite site = sites.get(0);
    Matrix stored = Matrix.of(graph.initializer(site.weight()));
    Matrix weight = site.inFirst() ? stored.transposed() : stored;
    Factors factors = factors(site.path(), weight, moments);
    int rank = rule.rank(site.outFeatures(), site.inFeatures(), factors.singular());
    long small = rank * (site.inFeatures() + site.outFeatures());
    if (small < site.inFeatures() * site.outFeatures()) {
      Factors.Pair pair = factors.of(rank);
      Graph less = LinearSplit.apply(graph, sites, pair);
      if (!less.initializers().containsKey(site.weight())) {
        return new Split(less, layer(site, rank, true, weight, pair.product(), moments));
      }
    }
    return new Split(graph, layer(site, rank, false, weight, weight, moments));
  }

  private Factors factors(String path, Matrix weight, @Nullable InputMoments moments) {
    if (!activations || moments == null) {
      return Factors.of(weight);
    }
    try {
      return Factors.of(weight, moments.products(), damping);
    } catch (PeftException e) {
      throw new PeftException(
          "the calibration data do not show every input of layer '%s' (%d rows for %d inputs); give more data or a damping above %s"
              .formatted(path, moments.rows(), weight.columns(), damping),
          e);
    }
  }

  private static LayerRank layer(
      LinearSite site,
      int rank,
      boolean split,
      Matrix weight,
      Matrix instead,
      @Nullable InputMoments moments) {
    double error = weight.minus(instead).norm();
    return new LayerRank(
        site.path(),
        site.inFeatures(),
        site.outFeatures(),
        rank,
        split,
        error == 0 ? 0 : error / weight.norm(),
        moments == null
            ? OptionalDouble.empty()
            : OptionalDouble.of(moments.outputError(weight, instead)));
  }

  /** The targets; those that share a weight are together. */
  private List<List<LinearSite>> byWeight(Graph graph) {
    Map<String, List<LinearSite>> found = new LinkedHashMap<>();
    for (Site site : targets.select(Sites.of(graph))) {
      if (!(site instanceof LinearSite linear)) {
        throw new PeftException(
            "'%s' is no linear layer; only linear layers are split".formatted(site.path()));
      }
      found.computeIfAbsent(linear.weight(), key -> new ArrayList<>()).add(linear);
    }
    return List.copyOf(found.values());
  }

  private static String note(List<LayerRank> layers) {
    Map<String, Integer> ranks = new LinkedHashMap<>();
    layers.stream().filter(LayerRank::split).forEach(l -> ranks.put(l.path(), l.rank()));
    return Checkpoint.text(ranks);
  }
}

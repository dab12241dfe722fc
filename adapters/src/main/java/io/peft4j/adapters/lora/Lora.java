package io.peft4j.adapters.lora;

import io.peft4j.PeftException;
import io.peft4j.RecipeException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.SavedModules;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.adapters.linear.Patterns;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.site.LinearSite;
import io.peft4j.site.Site;
import io.peft4j.site.Sites;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/**
 * LoRA (Hu et al. 2021, arXiv 2106.09685): y = W x + s B A dropout(x), with A [r, in], B [out, r]
 * and s = alpha / r, or alpha / √r for rank-stabilised LoRA (Kalajdzievski 2023, arXiv 2312.03732).
 * A starts uniform in ±1/√in and B at zero, so that the adapted model starts as the base model.
 *
 * @param rank r
 * @param alpha the numerator of the scale
 * @param dropout the probability with which inputs of A are dropped in training
 * @param rankStabilized whether the scale divides by √r
 * @param targets the linear layers to adapt
 * @param rankPattern ranks of single modules, by a regular expression for the end of the path; the
 *     first that matches counts
 * @param alphaPattern alphas of single modules, likewise
 * @param modulesToSave names of modules that are trained whole, a head for example; those that a
 *     model lacks are passed over
 */
public record Lora(
    int rank,
    double alpha,
    double dropout,
    boolean rankStabilized,
    Targets targets,
    Map<String, Integer> rankPattern,
    Map<String, Double> alphaPattern,
    List<String> modulesToSave)
    implements AdapterMethod {

  public static final String NAME = "lora";

  /**
   * @throws RecipeException if a value is out of its range
   */
  public Lora {
    Checks.atLeast("rank", rank, 1);
    Checks.positive("alpha", alpha);
    Checks.fraction("dropout", dropout);
    rankPattern = Patterns.ranks(rankPattern);
    alphaPattern = Collections.unmodifiableMap(new LinkedHashMap<>(alphaPattern));
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** LoRA of a rank on the feed-forward blocks, alpha twice the rank, no dropout. */
  public static Lora rank(int rank) {
    return new Lora(
        rank, 2.0 * rank, 0, false, Targets.feedForward(), Map.of(), Map.of(), List.of());
  }

  public Lora on(Targets newTargets) {
    return new Lora(
        rank, alpha, dropout, rankStabilized, newTargets, rankPattern, alphaPattern, modulesToSave);
  }

  public Lora alpha(double newAlpha) {
    return new Lora(
        rank, newAlpha, dropout, rankStabilized, targets, rankPattern, alphaPattern, modulesToSave);
  }

  public Lora dropout(double newDropout) {
    return new Lora(
        rank, alpha, newDropout, rankStabilized, targets, rankPattern, alphaPattern, modulesToSave);
  }

  public Lora rankStabilized(boolean on) {
    return new Lora(rank, alpha, dropout, on, targets, rankPattern, alphaPattern, modulesToSave);
  }

  public Lora modulesToSave(List<String> modules) {
    return new Lora(
        rank, alpha, dropout, rankStabilized, targets, rankPattern, alphaPattern, modules);
  }

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public AttachedAdapter attach(Graph base, String adapter, long seed) {
    Sites sites = Sites.of(base);
    GraphEditor editor = base.edit().tagging(adapter);
    List<AdapterTensor> tensors = new ArrayList<>();
    List<String> paths = new ArrayList<>();
    SplittableRandom random = new SplittableRandom(seed);
    for (Site site : targets.select(sites)) {
      if (!(site instanceof LinearSite linear)) {
        throw new PeftException(
            "target '%s' is no linear layer; LoRA takes linear layers only, leave it out"
                .formatted(site.path()));
      }
      addBranch(editor, linear, adapter, random.split(), tensors);
      paths.add(site.path());
    }
    tensors.addAll(SavedModules.train(editor, sites, modulesToSave));
    return new AttachedAdapter(adapter, this, base, editor.build(), tensors, paths);
  }

  private void addBranch(
      GraphEditor editor,
      LinearSite site,
      String adapter,
      SplittableRandom random,
      List<AdapterTensor> tensors) {
    int r = rankOf(site.path());
    String a = weightName(site, "lora_A", adapter);
    String b = weightName(site, "lora_B", adapter);
    editor.initializer(
        a, uniform(random, 1 / Math.sqrt((double) site.inFeatures()), r, site.inFeatures()));
    editor.initializer(
        b,
        Tensor.ofFloats(
            new long[] {site.outFeatures(), r},
            new float[Math.toIntExact(site.outFeatures() * r)]));
    editor.train(a).train(b);
    tensors.add(new AdapterTensor(a, site.path(), "lora_A.weight"));
    tensors.add(new AdapterTensor(b, site.path(), "lora_B.weight"));
    new LoraBranch(editor, site, adapter).add(a, b, scale(site.path()), dropout);
  }

  private static Tensor uniform(SplittableRandom random, double bound, long rows, long columns) {
    float[] values = new float[Math.toIntExact(rows * columns)];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextDouble(-bound, bound);
    }
    return Tensor.ofFloats(new long[] {rows, columns}, values);
  }

  private static String weightName(LinearSite site, String part, String adapter) {
    return site.path() + "." + part + "." + adapter + ".weight";
  }

  /** The rank at a module. */
  public int rankOf(String path) {
    return Patterns.pick(rankPattern, path, rank);
  }

  /** The factor s at a module. */
  public double scale(String path) {
    double numerator = Patterns.pick(alphaPattern, path, alpha);
    int r = rankOf(path);
    return rankStabilized ? numerator / Math.sqrt(r) : numerator / r;
  }

  @Override
  public Graph merge(AttachedAdapter adapter) {
    Graph adapted = adapter.graph();
    GraphEditor editor = adapter.base().edit();
    Sites sites = Sites.of(adapter.base());
    for (String path : adapter.targets()) {
      LinearSite site =
          sites.linear(path).orElseThrow(() -> new IllegalStateException("lost site " + path));
      Tensor weight = adapter.base().initializer(site.weight());
      Tensor a = adapted.initializer(weightName(site, "lora_A", adapter.name()));
      Tensor b = adapted.initializer(weightName(site, "lora_B", adapter.name()));
      editor.initializer(site.weight(), LowRank.added(weight, a, b, scale(path), site.inFirst()));
    }
    SavedModules.keep(editor, adapter);
    return editor.build();
  }
}

package io.peft4j.adapters.lora;

import io.peft4j.PeftException;
import io.peft4j.RecipeException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.DataProbe;
import io.peft4j.adapter.SavedModules;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.adapters.linear.MergedWeights;
import io.peft4j.adapters.linear.Patterns;
import io.peft4j.adapters.tokens.TokenRows;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.site.ConvSite;
import io.peft4j.site.EmbeddingSite;
import io.peft4j.site.LinearSite;
import io.peft4j.site.Site;
import io.peft4j.site.Sites;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * LoRA (Hu et al. 2021, arXiv 2106.09685): y = W x + s B A dropout(x), with A [r, in], B [out, r]
 * and s = alpha / r, or alpha / √r for rank-stabilised LoRA (Kalajdzievski 2023, arXiv 2312.03732),
 * on linear layers, tables of vectors and convolutions. The adapted model starts as the base model.
 *
 * @param rank r
 * @param alpha the numerator of the scale
 * @param dropout the probability with which inputs of A are dropped in training
 * @param rankStabilized whether the scale divides by √r
 * @param targets the modules to adapt
 * @param rankPattern ranks of single modules, by a regular expression for the end of the path; the
 *     first that matches counts
 * @param alphaPattern alphas of single modules, likewise
 * @param modulesToSave names of modules that are trained whole, a head for example; those that a
 *     model lacks are passed over
 * @param dora whether the length of each row of the weight trains by itself (Liu et al. 2024, arXiv
 *     2402.09353); dropout is on the way through A and B alone
 * @param loraBias whether B has a bias
 * @param bias which of the model's own biases train too
 * @param init how A and B start
 * @param trainableTokenIndices ids whose vectors train whole in the table of the model's input
 * @param loraplusLrRatio by how much B learns faster than A (LoRA+, Hayou et al. 2024, arXiv
 *     2402.12354)
 * @param rankAllocation how the ranks of linear layers are found
 */
public record Lora(
    int rank,
    double alpha,
    double dropout,
    boolean rankStabilized,
    Targets targets,
    Map<String, Integer> rankPattern,
    Map<String, Double> alphaPattern,
    List<String> modulesToSave,
    boolean dora,
    boolean loraBias,
    BiasTraining bias,
    LoraStart init,
    List<Integer> trainableTokenIndices,
    double loraplusLrRatio,
    RankAllocation rankAllocation)
    implements AdapterMethod {

  public static final String NAME = "lora";

  /**
   * @throws RecipeException if a value is out of its range
   */
  public Lora {
    Checks.atLeast("rank", rank, 1);
    Checks.positive("alpha", alpha);
    Checks.fraction("dropout", dropout);
    Checks.positive("loraplus_lr_ratio", loraplusLrRatio);
    if (init == LoraStart.EVA && rankAllocation != RankAllocation.UNIFORM) {
      throw new RecipeException(
          "init eva finds ranks of its own; leave rank_allocation out, or choose another init");
    }
    rankPattern = Patterns.ranks(rankPattern);
    alphaPattern = Collections.unmodifiableMap(new LinkedHashMap<>(alphaPattern));
    modulesToSave = List.copyOf(modulesToSave);
    trainableTokenIndices = List.copyOf(trainableTokenIndices);
  }

  /** LoRA of a rank on the feed-forward blocks, alpha twice the rank, no dropout. */
  public static Lora rank(int rank) {
    return new Lora(
        rank,
        2.0 * rank,
        0,
        false,
        Targets.feedForward(),
        Map.of(),
        Map.of(),
        List.of(),
        false,
        false,
        BiasTraining.NONE,
        LoraStart.DEFAULT,
        List.of(),
        1,
        RankAllocation.UNIFORM);
  }

  /** The same with another rank; alpha stays. */
  Lora ofRank(int value) {
    return with(fields -> fields.rank = value);
  }

  public Lora on(Targets newTargets) {
    return with(fields -> fields.targets = newTargets);
  }

  public Lora alpha(double value) {
    return with(fields -> fields.alpha = value);
  }

  public Lora dropout(double value) {
    return with(fields -> fields.dropout = value);
  }

  public Lora rankStabilized(boolean value) {
    return with(fields -> fields.rankStabilized = value);
  }

  public Lora rankPattern(Map<String, Integer> value) {
    return with(fields -> fields.rankPattern = value);
  }

  public Lora alphaPattern(Map<String, Double> value) {
    return with(fields -> fields.alphaPattern = value);
  }

  public Lora modulesToSave(List<String> value) {
    return with(fields -> fields.modulesToSave = value);
  }

  public Lora dora(boolean value) {
    return with(fields -> fields.dora = value);
  }

  public Lora loraBias(boolean value) {
    return with(fields -> fields.loraBias = value);
  }

  public Lora bias(BiasTraining value) {
    return with(fields -> fields.bias = value);
  }

  public Lora init(LoraStart value) {
    return with(fields -> fields.init = value);
  }

  public Lora trainableTokenIndices(List<Integer> value) {
    return with(fields -> fields.trainableTokenIndices = value);
  }

  public Lora loraplusLrRatio(double value) {
    return with(fields -> fields.loraplusLrRatio = value);
  }

  public Lora rankAllocation(RankAllocation value) {
    return with(fields -> fields.rankAllocation = value);
  }

  private Lora with(Consumer<Fields> change) {
    Fields fields = new Fields(this);
    change.accept(fields);
    return fields.lora();
  }

  /** The components while some of them change. */
  private static final class Fields {
    private int rank;
    private double alpha;
    private double dropout;
    private boolean rankStabilized;
    private Targets targets;
    private Map<String, Integer> rankPattern;
    private Map<String, Double> alphaPattern;
    private List<String> modulesToSave;
    private boolean dora;
    private boolean loraBias;
    private BiasTraining bias;
    private LoraStart init;
    private List<Integer> trainableTokenIndices;
    private double loraplusLrRatio;
    private RankAllocation rankAllocation;

    Fields(Lora lora) {
      rank = lora.rank;
      alpha = lora.alpha;
      dropout = lora.dropout;
      rankStabilized = lora.rankStabilized;
      targets = lora.targets;
      rankPattern = lora.rankPattern;
      alphaPattern = lora.alphaPattern;
      modulesToSave = lora.modulesToSave;
      dora = lora.dora;
      loraBias = lora.loraBias;
      bias = lora.bias;
      init = lora.init;
      trainableTokenIndices = lora.trainableTokenIndices;
      loraplusLrRatio = lora.loraplusLrRatio;
      rankAllocation = lora.rankAllocation;
    }

    Lora lora() {
      return new Lora(
          rank,
          alpha,
          dropout,
          rankStabilized,
          targets,
          rankPattern,
          alphaPattern,
          modulesToSave,
          dora,
          loraBias,
          bias,
          init,
          trainableTokenIndices,
          loraplusLrRatio,
          rankAllocation);
    }
  }

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public AttachedAdapter attach(Graph base, String adapter, long seed) {
    return attach(base, adapter, seed, Map.of());
  }

  /**
   * @param starts of single linear layers by path, in place of what {@link #init} says
   */
  AttachedAdapter attach(Graph base, String adapter, long seed, Map<String, StartValues> starts) {
    Sites sites = Sites.of(base);
    GraphEditor editor = base.edit().tagging(adapter);
    List<AdapterTensor> tensors = new ArrayList<>();
    List<String> paths = new ArrayList<>();
    SplittableRandom random = new SplittableRandom(seed);
    for (Site site : targets.select(sites)) {
      tensors.addAll(attach(site, editor, adapter, random.split(), starts.get(site.path())));
      paths.add(site.path());
    }
    if (!trainableTokenIndices.isEmpty()) {
      EmbeddingSite input = TokenRows.input(sites, base);
      if (paths.contains(input.path())) {
        throw new PeftException(
            "'%s' is a target and has trainable tokens; choose one of the two"
                .formatted(input.path()));
      }
      TokenRows rows = new TokenRows(input, trainableTokenIndices);
      tensors.add(rows.attach(editor, adapter, "token_adapter.trainable_tokens_delta"));
    }
    List<AdapterTensor> saved = SavedModules.train(editor, sites, modulesToSave);
    tensors.addAll(saved);
    tensors.addAll(bias.train(editor, sites, new HashSet<>(paths), saved));
    return new AttachedAdapter(adapter, this, base, editor.pruneNodes().build(), tensors, paths);
  }

  private List<AdapterTensor> attach(
      Site site,
      GraphEditor editor,
      String adapter,
      SplittableRandom random,
      @Nullable StartValues start) {
    if (site instanceof LinearSite linear) {
      return new LinearPart(this, linear).attach(editor, adapter, random, start);
    } else if (site instanceof EmbeddingSite embedding) {
      return new EmbeddingPart(this, embedding).attach(editor, adapter, random);
    } else if (site instanceof ConvSite conv) {
      return new ConvolutionPart(this, conv).attach(editor, adapter, random);
    }
    throw new PeftException(
        "target '%s' is no linear layer, embedding or convolution, which LoRA is for; leave it out"
            .formatted(site.path()));
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
  public AttachedAdapter started(AttachedAdapter adapter, DataProbe probe) {
    boolean needsData = init.needsData() || rankAllocation == RankAllocation.GRADIENT;
    return needsData ? LoraProbe.started(this, adapter, probe) : adapter;
  }

  @Override
  public double learningRateFactor(AdapterTensor tensor, Graph graph) {
    boolean fast =
        tensor.parameter().startsWith("lora_B")
            || graph.initializer(tensor.initializer()).rank() == 1;
    return fast ? loraplusLrRatio : 1;
  }

  @Override
  public Graph merge(AttachedAdapter adapter) {
    GraphEditor editor = adapter.base().edit();
    SavedModules.keep(editor, adapter);
    TrainedValues values = new TrainedValues(adapter);
    MergedWeights weights = new MergedWeights(adapter.base(), editor);
    Sites sites = Sites.of(adapter.base());
    List<Site> merged =
        sites.modules().stream().filter(site -> adapter.targets().contains(site.path())).toList();
    for (Site site : merged) {
      if (site instanceof LinearSite linear) {
        new LinearPart(this, linear).merge(values, weights);
      } else if (site instanceof EmbeddingSite embedding) {
        new EmbeddingPart(this, embedding).merge(values, weights);
      } else if (site instanceof ConvSite conv) {
        new ConvolutionPart(this, conv).merge(values, editor);
      }
    }
    if (!trainableTokenIndices.isEmpty()) {
      EmbeddingSite input = TokenRows.input(sites, adapter.base());
      new TokenRows(input, trainableTokenIndices)
          .merge(
              editor,
              adapter.base(),
              values.of(input.path(), "token_adapter.trainable_tokens_delta"));
    }
    return editor.build();
  }
}

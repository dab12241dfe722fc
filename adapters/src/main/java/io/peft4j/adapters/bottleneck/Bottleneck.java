package io.peft4j.adapters.bottleneck;

import com.google.common.collect.Lists;
import io.peft4j.RecipeException;
import io.peft4j.adapters.compose.Attachment;
import io.peft4j.adapters.compose.ComposableMethod;
import io.peft4j.adapters.compose.Nonlinearity;
import io.peft4j.adapters.compose.TransformerLayer;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphView;
import io.peft4j.site.Sites;
import java.util.List;
import java.util.Locale;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * Bottleneck adapters (Houlsby et al. 2019, arXiv 1902.00751): up(f(down(x))) behind the attention,
 * the feed-forward block, or both of every layer, or beside them. The settings are AdapterHub's.
 *
 * @param afterAttention whether attention blocks get one
 * @param afterFeedForward whether feed-forward blocks get one
 * @param reduction the width
 * @param nonLinearity f, by AdapterHub's name
 * @param norms where norms and sums lie around a sequential one
 * @param isParallel whether it reads what the block reads and is added to what the block gives (He
 *     et al. 2021, arXiv 2110.04366)
 * @param scaling the factor on its output
 * @param gating whether a gate, trained with it, decides for each row how much of it counts
 * @param start how its weights start
 * @param dropout the probability with which its outputs are dropped in training
 * @param stochasticDepth the probability with which it is left out for a row in training
 * @param leaveOut numbers of layers that get none (AdapterDrop, Rücklé et al. 2021, arXiv
 *     2010.11918)
 * @param dropFirst in training, the most first layers that are left out at random for a batch; 0
 *     for none
 * @param phm the form of its layers; null for plain ones
 * @param coupling a further, invertible adapter behind the embeddings; null for none
 */
public record Bottleneck(
    boolean afterAttention,
    boolean afterFeedForward,
    Reduction reduction,
    String nonLinearity,
    Norms norms,
    boolean isParallel,
    Scaling scaling,
    boolean gating,
    Start start,
    double dropout,
    double stochasticDepth,
    List<Integer> leaveOut,
    int dropFirst,
    @Nullable Phm phm,
    @Nullable Coupling coupling)
    implements ComposableMethod {

  public static final String NAME = "bottleneck";

  /**
   * @throws RecipeException if a value is out of its range, or two contradict each other
   */
  public Bottleneck {
    if (!afterAttention && !afterFeedForward) {
      throw new RecipeException(
          "a bottleneck adapter needs a place; set mh_adapter or output_adapter");
    }
    nonLinearity = Nonlinearity.checked(nonLinearity);
    checkProbability("dropout", dropout);
    checkProbability("stochastic_depth", stochasticDepth);
    leaveOut = List.copyOf(new TreeSet<>(leaveOut));
    if (dropFirst < 0) {
      throw new RecipeException("drop_first must not be negative, was " + dropFirst);
    }
    boolean vanishes =
        isParallel || (norms.originalAfter() && norms.residual() == Norms.Residual.BLOCK);
    if (dropFirst > 0 && (!vanishes || norms.after())) {
      throw new RecipeException(
          "drop_first needs a bottleneck without which the layer is the model's own:"
              + " original_ln_after and residual_before_ln, and no ln_after");
    }
    if (phm != null && start != Start.BERT) {
      throw new RecipeException(
          "init_weights '%s' does not go with phm_layer; take 'bert'"
              .formatted(start.name().toLowerCase(Locale.ROOT)));
    }
  }

  private static void checkProbability(String field, double value) {
    if (!(value >= 0 && value < 1)) {
      throw new RecipeException(field + " must be from 0 to below 1, was " + value);
    }
  }

  /** Pfeiffer's (2020, arXiv 2005.00247), AdapterHub's {@code seq_bn}. */
  public static Builder pfeiffer() {
    return new Builder();
  }

  /** Houlsby's, AdapterHub's {@code double_seq_bn}. */
  public static Builder houlsby() {
    return new Builder()
        .optAfterAttention(true)
        .optNonLinearity("swish")
        .optNorms(Norms.BEFORE_SUM);
  }

  /** Beside the feed-forward block, AdapterHub's {@code par_bn}. */
  public static Builder parallel() {
    return new Builder()
        .optNorms(Norms.BEFORE_SUM)
        .optParallel(true)
        .optReduction(Reduction.of(2))
        .optStart(Start.MAM_ADAPTER)
        .optScaling(new Scaling.Fixed(4));
  }

  /** As {@link #parallel}, the factor trained: AdapterHub's {@code scaled_par_bn}. */
  public static Builder scaledParallel() {
    return parallel().optScaling(new Scaling.Learned());
  }

  /** AdapterPlus (Steitz and Roth 2024, arXiv 2406.06820). */
  public static Builder adapterPlus() {
    return new Builder()
        .optNorms(new Norms(true, false, false, false, Norms.Residual.INPUT, false))
        .optReduction(Reduction.of(2))
        .optNonLinearity("gelu")
        .optStart(Start.HOULSBY)
        .optScaling(new Scaling.Channel())
        .optStochasticDepth(0.1);
  }

  /** Compacter (Mahabadi et al. 2021, arXiv 2106.04647). */
  public static Builder compacter() {
    return houlsby().optNonLinearity("gelu").optReduction(Reduction.of(32)).optPhm(Phm.COMPACTER);
  }

  /** Compacter++: Compacter behind feed-forward blocks alone. */
  public static Builder compacterPlusPlus() {
    return pfeiffer().optNonLinearity("gelu").optReduction(Reduction.of(32)).optPhm(Phm.COMPACTER);
  }

  /** Makes one; without settings it is Pfeiffer's. */
  public static final class Builder {
    private boolean afterAttention;
    private boolean afterFeedForward = true;
    private Reduction reduction = Reduction.of(16);
    private String nonLinearity = "relu";
    private Norms norms = Norms.TWICE;
    private boolean parallel;
    private Scaling scaling = new Scaling.Fixed(1);
    private boolean gating;
    private Start start = Start.BERT;
    private double dropout;
    private double stochasticDepth;
    private List<Integer> leaveOut = List.of();
    private int dropFirst;
    private @Nullable Phm phm;
    private @Nullable Coupling coupling;

    Builder() {}

    public Builder optAfterAttention(boolean on) {
      afterAttention = on;
      return this;
    }

    public Builder optAfterFeedForward(boolean on) {
      afterFeedForward = on;
      return this;
    }

    public Builder optReduction(Reduction newReduction) {
      reduction = newReduction;
      return this;
    }

    public Builder optNonLinearity(String name) {
      nonLinearity = name;
      return this;
    }

    public Builder optNorms(Norms newNorms) {
      norms = newNorms;
      return this;
    }

    public Builder optParallel(boolean on) {
      parallel = on;
      return this;
    }

    public Builder optScaling(Scaling newScaling) {
      scaling = newScaling;
      return this;
    }

    public Builder optGating(boolean on) {
      gating = on;
      return this;
    }

    public Builder optStart(Start newStart) {
      start = newStart;
      return this;
    }

    public Builder optDropout(double probability) {
      dropout = probability;
      return this;
    }

    public Builder optStochasticDepth(double probability) {
      stochasticDepth = probability;
      return this;
    }

    public Builder optLeaveOut(List<Integer> layers) {
      leaveOut = layers;
      return this;
    }

    public Builder optDropFirst(int layers) {
      dropFirst = layers;
      return this;
    }

    public Builder optPhm(@Nullable Phm newPhm) {
      phm = newPhm;
      return this;
    }

    public Builder optCoupling(@Nullable Coupling newCoupling) {
      coupling = newCoupling;
      return this;
    }

    /**
     * @throws RecipeException if a value is out of its range, or two contradict each other
     */
    public Bottleneck build() {
      return new Bottleneck(
          afterAttention,
          afterFeedForward,
          reduction,
          nonLinearity,
          norms,
          parallel,
          scaling,
          gating,
          start,
          dropout,
          stochasticDepth,
          leaveOut,
          dropFirst,
          phm,
          coupling);
    }
  }

  /** A builder with this one's settings. */
  public Builder toBuilder() {
    return new Builder()
        .optAfterAttention(afterAttention)
        .optAfterFeedForward(afterFeedForward)
        .optReduction(reduction)
        .optNonLinearity(nonLinearity)
        .optNorms(norms)
        .optParallel(isParallel)
        .optScaling(scaling)
        .optGating(gating)
        .optStart(start)
        .optDropout(dropout)
        .optStochasticDepth(stochasticDepth)
        .optLeaveOut(leaveOut)
        .optDropFirst(dropFirst)
        .optPhm(phm)
        .optCoupling(coupling);
  }

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public Depth depth() {
    return Depth.BLOCK;
  }

  /** Whether this changes what a model's language-model head reads, by a coupling's inverse. */
  public boolean invertsBeforeHead(Graph base) {
    return coupling != null
        && !new VocabularyOutputs(new GraphView(base), Sites.of(base)).find().isEmpty();
  }

  @Override
  public void add(Attachment attachment) {
    BottleneckModule module = new BottleneckModule(this, attachment);
    List<TransformerLayer> layers = attachment.layers();
    for (TransformerLayer layer : Lists.reverse(layers)) {
      if (!module.isIn(layer)) {
        continue;
      }
      if (afterFeedForward) {
        module.add(layer, layer.afterFeedForward(), attachment.names().feedForward(layer));
      }
      if (afterAttention) {
        module.add(layer, layer.afterAttention(), attachment.names().attention(layer));
      }
    }
    module.addCoupling();
  }
}

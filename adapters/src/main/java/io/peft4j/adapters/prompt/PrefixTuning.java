package io.peft4j.adapters.prompt;

import io.peft4j.UnsupportedModelException;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapters.compose.Attachment;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.site.AttentionSite;
import io.peft4j.site.LinearSite;
import java.util.List;
import java.util.Map;

/**
 * Prefix tuning (Li and Liang, arXiv 2101.00190) as PEFT has it: trained keys and values in front
 * of those of every layer, at positions of their own, so that the text comes behind them. They
 * start normal.
 *
 * <p>With a projection a small network makes them while they are trained. A training state holds
 * the network, an adapter folder only what it makes, so that an adapter loaded from a folder has
 * none: its keys and values are used as they are, and trained themselves if it is trained on.
 *
 * @param virtualTokens how many positions
 * @param prefixProjection whether a network makes keys and values
 * @param encoderHiddenSize the width inside it; 0 for that of a layer's keys
 */
public record PrefixTuning(
    int virtualTokens, boolean prefixProjection, int encoderHiddenSize, List<String> modulesToSave)
    implements PromptMethod {

  public PrefixTuning {
    Checks.atLeast("virtual_tokens", virtualTokens, 1);
    PromptMethod.checkHiddenSize(
        encoderHiddenSize, prefixProjection, "set prefix_projection to true");
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** Prefix tuning with so many positions. */
  public static PrefixTuning tokens(int count) {
    return new PrefixTuning(count, false, 0, List.of());
  }

  @Override
  public String name() {
    return "prefix-tuning";
  }

  @Override
  public Depth depth() {
    return Depth.ATTENTION;
  }

  @Override
  public boolean hasNetwork() {
    return prefixProjection;
  }

  @Override
  public PrefixTuning alone() {
    return new PrefixTuning(virtualTokens, false, 0, modulesToSave);
  }

  @Override
  public void add(Attachment at) {
    List<AttentionSite> layers = at.sites().attentions();
    if (layers.isEmpty()) {
      throw new UnsupportedModelException("prefix tuning needs attention; this model has none");
    }
    int width = AttentionHeads.of(at.folded(), layers.get(0)).width();
    int own = heads(layers.get(0), layers.get(0).key(), width);
    int asked = heads(layers.get(0), layers.get(0).query(), width);
    String vectors = vectors(at, own * width, 2 * layers.size());
    // [tokens, a layer's keys or values, heads, width] to [keys or values, heads, tokens, width]
    String parts =
        PromptParts.transposed(
            at,
            "prefix",
            PromptParts.reshaped(
                at, "prefix", vectors, virtualTokens, 2L * layers.size(), own, width),
            1,
            2,
            0,
            3);
    VirtualTokens tokens = new VirtualTokens(at, virtualTokens);
    for (int i = 0; i < layers.size(); i++) {
      AttentionSite site = layers.get(i);
      AttentionCore core = AttentionCore.of(at.folded(), site);
      for (int half = 0; half < 2; half++) {
        String one = part(at, parts, 2 * i + half, own, width);
        String front =
            PromptParts.repeatedHeads(at, "prefix", one, own, virtualTokens, width, asked / own);
        place(
            at,
            tokens,
            half == 0 ? core.keys() : core.values(),
            at.narrow("prefix", front, site.key().dtype()),
            new long[] {1, asked, virtualTokens, width});
      }
      at.target(site.path());
    }
    tokens.dropFrom(lastHidden(at));
    PromptParts.saveWhole(at, modulesToSave);
  }

  /** What the last norm makes, behind a node that only gives it the shape of the ids once more. */
  private static String lastHidden(Attachment at) {
    String value = at.sites().norms().get(at.sites().norms().size() - 1).output();
    Node next = at.folded().onlyConsumer(value);
    boolean shapes =
        next != null
            && next.is("Reshape")
            && AttentionHeads.rank(at.folded(), next.requiredInput(1)) == 3;
    return next != null && shapes ? next.output() : value;
  }

  /** An adapter's keys and values, [tokens, layers · (keys, values) · heads · width]. */
  public Tensor vectors(AttachedAdapter adapter) {
    return prefixProjection
        ? MadeVectors.of(adapter)
        : adapter.graph().initializer(adapter.tensors().get(0).initializer());
  }

  /** How many heads a layer makes; one that makes queries, keys and values has a third for each. */
  private static int heads(AttentionSite site, LinearSite layer, int width) {
    int parts = site.query().equals(site.key()) ? 3 : 1;
    return Math.toIntExact(layer.outFeatures() / parts / width);
  }

  private String part(Attachment at, String all, int index, int heads, int width) {
    String number = at.constant("prefix.part", Tensor.vector(index));
    String one = at.node("prefix", "Gather", Map.of("axis", Attribute.of(0L)), all, number);
    return PromptParts.reshaped(at, "prefix", one, 1, heads, virtualTokens, width);
  }

  /**
   * Puts vectors in the place of the first keys or values.
   *
   * @param front [1, heads, tokens, width]
   * @param sizes its shape
   */
  private static void place(
      Attachment at,
      VirtualTokens tokens,
      AttentionCore.Passage passage,
      String front,
      long[] sizes) {
    long[] order = new long[4];
    for (int i = 0; i < 4; i++) {
      order[passage.order().get(i)] = i;
    }
    long[] rest = new long[3];
    for (int i = 1; i < 4; i++) {
      rest[i - 1] = sizes[(int) order[i]];
    }
    tokens.replaceFront(
        passage.user(),
        passage.user().requiredInput(passage.user().is("MatMul") ? 1 : 0),
        PromptParts.transposed(at, "prefix", front, order),
        passage.sequenceAxis(),
        Tensor.vector(rest));
  }

  /**
   * [tokens, parts · size].
   *
   * @param size of the keys of a layer
   * @param parts keys and values of all layers
   */
  private String vectors(Attachment at, int size, int parts) {
    if (!prefixProjection) {
      return PromptParts.parameter(at, at.normal(1, virtualTokens, (long) parts * size));
    }
    int hidden = encoderHiddenSize == 0 ? size : encoderHiddenSize;
    return new PromptNetwork(at, virtualTokens, size).projection(hidden, parts * size);
  }
}

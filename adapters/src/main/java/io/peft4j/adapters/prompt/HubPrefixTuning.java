package io.peft4j.adapters.prompt;

import io.peft4j.RecipeException;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapters.compose.Attachment;
import io.peft4j.adapters.compose.ComposableMethod;
import io.peft4j.adapters.compose.Nonlinearity;
import io.peft4j.graph.Tensor;
import java.util.List;
import java.util.TreeSet;

/**
 * Prefix tuning (Li and Liang 2021, arXiv 2101.00190) as AdapterHub has it: trained keys and values
 * in front of those of every layer, made by a small network out of trained vectors, or trained
 * themselves.
 *
 * @param length how many
 * @param flat whether they are trained themselves
 * @param bottleneck the width inside the network
 * @param nonLinearity its activation
 * @param dropout the probability with which their numbers are dropped in training
 * @param gating whether a gate, trained with them, decides for each row how much of them counts
 * @param sharedGating whether keys and values have one gate
 * @param leaveOut numbers of layers that get none
 */
public record HubPrefixTuning(
    int length,
    boolean flat,
    int bottleneck,
    String nonLinearity,
    double dropout,
    boolean gating,
    boolean sharedGating,
    List<Integer> leaveOut)
    implements ComposableMethod {

  public HubPrefixTuning {
    if (length < 1 || bottleneck < 1) {
      throw new RecipeException(
          "prefix_length and bottleneck_size must be at least 1, were %d and %d"
              .formatted(length, bottleneck));
    }
    nonLinearity = Nonlinearity.checked(nonLinearity);
    if (!(dropout >= 0 && dropout < 1)) {
      throw new RecipeException("dropout must be from 0 to below 1, was " + dropout);
    }
    leaveOut = List.copyOf(new TreeSet<>(leaveOut));
  }

  /** With a network of width 512: AdapterHub's {@code prefix_tuning}. */
  public static HubPrefixTuning length(int length) {
    return new HubPrefixTuning(length, false, 512, "tanh", 0, false, true, List.of());
  }

  /** Without a network: AdapterHub's {@code prefix_tuning_flat}. */
  public static HubPrefixTuning flat(int length) {
    return new HubPrefixTuning(length, true, 512, "tanh", 0, false, true, List.of());
  }

  public HubPrefixTuning bottleneck(int width) {
    return new HubPrefixTuning(
        length, flat, width, nonLinearity, dropout, gating, sharedGating, leaveOut);
  }

  public HubPrefixTuning gating(boolean on) {
    return new HubPrefixTuning(
        length, flat, bottleneck, nonLinearity, dropout, on, sharedGating, leaveOut);
  }

  /** An adapter's keys and values, [length, layers · (keys, values) · heads · width]. */
  public Tensor vectors(AttachedAdapter adapter) {
    if (!flat) {
      return MadeVectors.of(adapter);
    }
    Tensor all = adapter.graph().initializer(adapter.tensors().get(0).initializer());
    return Tensor.ofFloats(new long[] {length, all.size() / length}, all.toFloats());
  }

  @Override
  public String name() {
    return "hub-prefix-tuning";
  }

  @Override
  public Depth depth() {
    return Depth.ATTENTION;
  }

  @Override
  public void add(Attachment at) {
    new HubPrefixes(this, at).add();
  }
}

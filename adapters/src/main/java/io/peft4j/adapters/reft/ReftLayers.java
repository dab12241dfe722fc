package io.peft4j.adapters.reft;

import com.google.common.collect.Lists;
import io.peft4j.RecipeException;
import io.peft4j.adapters.compose.Attachment;
import io.peft4j.adapters.compose.TransformerLayer;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import java.util.List;
import java.util.Map;

/** Adds the changes behind the layers. */
final class ReftLayers {
  private static final String MASK = "attention_mask";
  private static final String SCOPE = "reft.positions";

  private final Reft method;
  private final Attachment at;
  private final String starts;
  private final String lengths;

  ReftLayers(Reft method, Attachment at) {
    this.method = method;
    this.at = at;
    boolean masked =
        at.view().graph().inputs().stream().anyMatch(input -> input.name().equals(MASK));
    starts = masked ? firstTokens() : "";
    lengths = masked ? tokens() : "";
  }

  /** Where each row's first token stands, [batch, 1, 1]. */
  private String firstTokens() {
    Map<String, Attribute> axis = Map.of("axis", Attribute.of(1L), "keepdims", Attribute.of(1L));
    return wide(at.node(SCOPE, "ArgMax", axis, MASK));
  }

  /** How many tokens each row has, [batch, 1, 1]. */
  private String tokens() {
    return wide(at.sum(SCOPE, MASK, 1));
  }

  private String wide(String perRow) {
    return at.node(SCOPE, "Unsqueeze", perRow, at.constant(SCOPE + ".axis", Tensor.vector(2)));
  }

  void add() {
    List<Integer> wanted = method.layers();
    for (int number : wanted == null ? List.<Integer>of() : wanted) {
      if (number < 0 || number >= at.layers().size()) {
        throw new RecipeException(
            "layers names layer %d, but the model has layers 0 to %d"
                .formatted(number, at.layers().size() - 1));
      }
    }
    for (TransformerLayer layer : Lists.reverse(at.layers())) {
      if (wanted == null || wanted.contains(layer.number())) {
        add(layer);
      }
    }
  }

  private void add(TransformerLayer layer) {
    String module = layer.path();
    String output = layer.afterFeedForward().output();
    DType dtype = layer.feedForward().down().dtype();
    at.target(module);
    at.mark();
    String scope = module + ".reft_layer";
    String states = at.wide(scope, output, dtype);
    String prefix = "reft_layer.refts." + at.adapter() + ".units.";
    ReftUnit unit = new ReftUnit(method, at, module, prefix + "0.");
    ReftUnit other = method.tied() ? unit : new ReftUnit(method, at, module, prefix + "1.");
    String changed = states;
    if (method.first() > 0) {
      String chosen = chosen(scope, states, positions(scope, states, 0, method.first(), false));
      changed = replaced(scope, changed, chosen, unit.add(picked(scope, chosen, states)));
    }
    if (method.last() > 0) {
      String chosen = chosen(scope, states, positions(scope, states, -method.last(), 0, true));
      changed = replaced(scope, changed, chosen, other.add(picked(scope, chosen, states)));
    }
    at.rewire(output, at.narrow(scope, changed, dtype));
  }

  /** Positions from..to of each row, from its first token or behind its last, [batch, n, 1]. */
  private String positions(String scope, String states, int from, int to, boolean fromEnd) {
    long[] offsets = new long[to - from];
    for (int i = 0; i < offsets.length; i++) {
      offsets[i] = (long) from + i;
    }
    String relative =
        at.constant(scope + ".offsets", Tensor.ofLongs(new long[] {1, offsets.length, 1}, offsets));
    if (starts.isEmpty()) {
      return fromEnd
          ? at.node(scope, "Add", relative, at.size(scope, states, 1))
          : at.node(scope, "Add", relative, at.constant(scope + ".zero", Tensor.vector(0)));
    }
    String shifted = at.node(scope, "Add", relative, starts);
    return fromEnd ? at.node(scope, "Add", shifted, lengths) : shifted;
  }

  /** 1 where a chosen position is, [batch, n, sequence]. */
  private String chosen(String scope, String states, String positions) {
    String length =
        at.node(
            scope,
            "Squeeze",
            at.size(scope, states, 1),
            at.constant(scope + ".axis", Tensor.vector(0)));
    String all =
        at.node(
            scope,
            "Range",
            at.constant(scope + ".zero", Tensor.scalar(0L)),
            length,
            at.constant(scope + ".one", Tensor.scalar(1L)));
    String equal = at.node(scope, "Equal", positions, all);
    return at.cast(scope, equal, DType.FLOAT32);
  }

  private String picked(String scope, String chosen, String states) {
    return at.node(scope, "MatMul", chosen, states);
  }

  /** The states with new ones at the chosen positions. */
  private String replaced(String scope, String states, String chosen, String changed) {
    String spread = at.transposed(scope, chosen, 0, 2, 1);
    String placed = at.node(scope, "MatMul", spread, changed);
    String any = at.sum(scope, spread, 2);
    String here = at.node(scope, "Greater", any, at.number(scope + ".half", 0.5));
    return at.node(scope, "Where", here, placed, states);
  }
}

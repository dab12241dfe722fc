package io.peft4j.adapters.prompt;

import io.peft4j.UnsupportedModelException;
import io.peft4j.adapters.compose.Attachment;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.site.EmbeddingSite;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/**
 * Tokens in front of those that a model is given. The inputs are lengthened, so that positions,
 * masks and whatever else depends on the sequence follow by themselves; what stands at the new
 * places is put there by the methods.
 */
final class VirtualTokens {
  private static final String SCOPE = "virtual_tokens";
  private static final Map<String, Long> FILLS =
      Map.of("input_ids", 0L, "attention_mask", 1L, "token_type_ids", 0L);

  private final Attachment at;
  private final int count;

  /** The longer form of each input. */
  private final Map<String, String> longer = new LinkedHashMap<>();

  /**
   * Lengthens the inputs.
   *
   * @throws UnsupportedModelException if the model takes no token ids, or further inputs that would
   *     have to be lengthened in a way that is not known
   */
  VirtualTokens(Attachment at, int count) {
    this.at = at;
    this.count = count;
    Graph base = at.view().graph();
    if (base.inputs().stream().noneMatch(input -> input.name().equals("input_ids"))) {
      throw new UnsupportedModelException(
          "prompts need a model with the input 'input_ids'; this one has " + base.requiredInputs());
    }
    at.mark();
    for (Value input : base.inputs()) {
      Long fill = FILLS.get(input.name());
      if (fill == null && base.requiredInputs().contains(input.name())) {
        throw new UnsupportedModelException(
            "prompts lengthen %s; how to lengthen the input '%s' is not known"
                .formatted(FILLS.keySet(), input.name()));
      }
      if (fill != null) {
        lengthen(input, fill);
      }
    }
  }

  int count() {
    return count;
  }

  private void lengthen(Value input, long fill) {
    DType type = input.dtype() == null ? DType.INT64 : input.dtype();
    String value = at.constant(SCOPE + "." + input.name(), Tensor.scalar(fill).cast(type));
    String front = at.node(SCOPE, "Expand", value, shape(input.name(), Tensor.vector(count)));
    String whole = at.node(SCOPE, "Concat", Map.of("axis", Attribute.of(1L)), front, input.name());
    at.rewire(input.name(), whole);
    longer.put(input.name(), whole);
  }

  /** The shape [rows, …] for as many rows as a value has. */
  private String shape(String like, Tensor sizes) {
    Map<String, Attribute> first = Map.of("start", Attribute.of(0L), "end", Attribute.of(1L));
    String rows = at.node(SCOPE, "Shape", first, like);
    String rest = at.constant(SCOPE + ".sizes", sizes);
    return at.node(SCOPE, "Concat", Map.of("axis", Attribute.of(0L)), rows, rest);
  }

  /**
   * Puts vectors in the place of the first entries of an axis.
   *
   * @param user the node that takes the value; null for all
   * @param front [1, …], spread over the rows
   * @param sizes of front behind its first axis
   */
  void replaceFront(Node user, String value, String front, int axis, Tensor sizes) {
    at.mark();
    String spread = at.node(SCOPE, "Expand", front, shape(value, sizes));
    String rest = behind(value, axis);
    String joined =
        at.node(SCOPE, "Concat", Map.of("axis", Attribute.of((long) axis)), spread, rest);
    at.rewire(at.producer(user.output()), value, joined);
  }

  /** Likewise, for every use of a value. */
  void replaceFront(String value, String front, int axis, Tensor sizes) {
    at.mark();
    String spread = at.node(SCOPE, "Expand", front, shape(value, sizes));
    String rest = behind(value, axis);
    at.rewire(
        value, at.node(SCOPE, "Concat", Map.of("axis", Attribute.of((long) axis)), spread, rest));
  }

  /**
   * Lets everything behind a value see it without the virtual tokens, and what does not lead to it
   * the inputs as they are: a classifier looks for the last token in them.
   */
  void dropFrom(String value) {
    at.mark();
    at.rewire(value, behind(value, 1));
    Set<String> before = leadingTo(value);
    longer.forEach(
        (input, whole) ->
            at.editor()
                .replaceUses(
                    whole,
                    input,
                    node ->
                        !node.tag().isEmpty()
                            || node.outputs().stream().anyMatch(before::contains)));
  }

  /** A value and all that it is made of. */
  private Set<String> leadingTo(String value) {
    Set<String> found = new HashSet<>(Set.of(value));
    Deque<String> open = new ArrayDeque<>(found);
    while (!open.isEmpty()) {
      Node node = at.view().producer(open.pop());
      if (node != null) {
        node.uses().stream().filter(found::add).forEach(open::add);
      }
    }
    return found;
  }

  private String behind(String value, int axis) {
    return at.node(
        SCOPE,
        "Slice",
        value,
        at.constant(SCOPE + ".from", Tensor.vector(count)),
        at.constant(SCOPE + ".to", Tensor.vector(Integer.MAX_VALUE)),
        at.constant(SCOPE + ".axis", Tensor.vector(axis)));
  }

  /** The table that turns token ids into vectors. */
  EmbeddingSite words() {
    return at.sites()
        .wordEmbeddings(at.view())
        .orElseThrow(
            () ->
                new UnsupportedModelException(
                    "no embedding of this model reads 'input_ids', so a prompt has no place"));
  }
}

package io.peft4j.adapters.prompt;

import io.peft4j.UnsupportedModelException;
import io.peft4j.adapters.compose.Attachment;
import io.peft4j.graph.DType;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.site.AttentionSite;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Puts keys and values in front of those that an attention makes of its sequence, and lets its mask
 * cover them. Serves every attention of a model: masks that several share are widened once.
 */
public final class PrefixedAttention {
  private final Attachment at;
  private final int length;
  private final Map<String, String> masks = new HashMap<>();
  private final Map<String, String> rows = new HashMap<>();

  /**
   * @param length how many keys are put in front
   */
  public PrefixedAttention(Attachment at, int length) {
    this.at = at;
    this.length = length;
  }

  /**
   * Adds a prefix to one attention.
   *
   * @param keys [batch or 1, heads, length, width], float32
   * @param values of the same shape
   * @throws UnsupportedModelException if the attention has a form that is not known
   */
  public void add(AttentionSite site, String scope, String keys, String values) {
    AttentionCore core = AttentionCore.of(at.folded(), site);
    DType dtype = site.key().dtype();
    at.mark();
    front(scope + ".keys", core.keys(), at.narrow(scope, keys, dtype));
    front(scope + ".values", core.values(), at.narrow(scope, values, dtype));
    core.masks().forEach(mask -> widenMask(scope, mask, dtype));
  }

  /**
   * Lets the mask of an attention cover a sequence that is longer at its front: what any token sees
   * the new ones see, too.
   *
   * @throws UnsupportedModelException if tokens do not all see the same
   */
  void coverRows(AttentionSite site, String scope) {
    AttentionCore core = AttentionCore.of(at.folded(), site);
    for (AttentionCore.Mask mask : core.masks()) {
      if (isByPosition(mask.value())) {
        throw new UnsupportedModelException(
            "the attention '%s' lets tokens see only what is before them; this method takes encoders, whose tokens see all"
                .formatted(site.path()));
      }
      at.mark();
      Node user = at.producer(mask.node().output());
      String value = user.requiredInput(mask.input());
      String row = rows.computeIfAbsent(value, all -> firstRow(scope, all));
      at.rewire(user, value, row);
      widenMask(scope, mask, site.key().dtype());
    }
  }

  /** Whether a mask is made by comparing positions, or cut from a table of what sees what. */
  private boolean isByPosition(String mask) {
    Set<String> seen = new HashSet<>();
    Deque<String> open = new ArrayDeque<>(List.of(mask));
    while (!open.isEmpty()) {
      String value = open.pop();
      if (isTable(at.view().constant(value))) {
        return true;
      }
      Node node = at.view().producer(value);
      if (node == null) {
        continue;
      }
      switch (node.op()) {
        case "Trilu", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "CumSum" -> {
          return true;
        }
        default -> node.inputs().stream().filter(seen::add).forEach(open::add);
      }
    }
    return false;
  }

  private static boolean isTable(@Nullable Tensor constant) {
    return constant != null && constant.rank() > 1 && constant.dim(-1) > 1 && constant.dim(-2) > 1;
  }

  /** [.., .., rows, sequence] to [.., .., 1, sequence]. */
  private String firstRow(String scope, String mask) {
    return at.slice(scope + ".mask", mask, -2, 0, 1);
  }

  private void front(String scope, AttentionCore.Passage passage, String prefix) {
    long[] order = new long[4];
    for (int i = 0; i < 4; i++) {
      order[passage.order().get(i)] = i;
    }
    boolean same = passage.order().equals(List.of(0, 1, 2, 3));
    String turned = same ? prefix : at.transposed(scope, prefix, order);
    Node user = at.producer(passage.user().output());
    String present = user.requiredInput(user.is("MatMul") ? 1 : 0);
    String spread = at.forEachRow(scope, turned, present, 1, 1, 1);
    String joined = at.joined(scope, passage.sequenceAxis(), spread, present);
    at.rewire(user, present, joined);
  }

  private void widenMask(String scope, AttentionCore.Mask mask, DType dtype) {
    Node node = mask.node();
    if (node.is("Where")) {
      skipExpand(mask.value());
    }
    Node present = at.producer(node.output());
    String narrow = present.requiredInput(mask.input());
    String wide = masks.computeIfAbsent(narrow, value -> widened(scope, seen(node, dtype), value));
    at.rewire(present, narrow, wide);
  }

  /** [.., .., rows, sequence] to [.., .., rows, length + sequence]; what is in front is seen. */
  private String widened(String scope, Tensor seenInFront, String value) {
    String name = scope + ".mask";
    String shape = at.node(name, "Shape", value);
    String front = at.slice(name, shape, 0, 0, -1);
    String size = at.joined(name, 0, front, at.constant(name + ".length", Tensor.vector(length)));
    String seen = at.node(name, "Expand", at.constant(name + ".seen", seenInFront), size);
    return at.joined(name, -1, seen, value);
  }

  /**
   * A choice between scores may be spread to their shape, which is another by now; without, it
   * spreads by itself.
   */
  private void skipExpand(String choice) {
    Node user = at.view().producer(choice);
    while (user != null && (user.is("Cast") || user.is("Identity") || user.is("Not"))) {
      Node before = at.view().producer(user.requiredInput(0));
      if (before != null && before.is("Expand")) {
        at.rewire(user, before.output(), before.requiredInput(0));
        return;
      }
      user = before;
    }
    if (user != null && user.is("Expand")) {
      at.rewire(choice, user.requiredInput(0));
    }
  }

  /** The mask of what is seen: nothing added to a score, or the choice of the score itself. */
  private Tensor seen(Node mask, DType dtype) {
    if (mask.is("Add")) {
      return Tensor.scalar(0f).cast(dtype);
    }
    boolean scoresFirst = !Double.isNaN(at.folded().scalar(mask.input(2)));
    return Tensor.ofLongs(new long[0], scoresFirst ? 1 : 0).cast(DType.BOOL);
  }
}

package io.peft4j.loaders.huggingface;

import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The parts of attention. Numbers of heads are constants of each layer, so that layers may come to
 * differ.
 */
final class AttentionBlocks {
  /** The lowest finite float32, which the reference library adds to scores that do not count. */
  private static final float LOWEST = -Float.MAX_VALUE;

  private final GraphBlocks blocks;

  AttentionBlocks(GraphBlocks blocks) {
    this.blocks = blocks;
  }

  /**
   * What is added to the scores so that only real tokens are attended to.
   *
   * @param mask int64 [batch, sequence], 1 for a real token
   * @return float32 [batch, 1, 1, sequence], 0 for a real token
   */
  String paddingMask(String module, String mask) {
    String axes = blocks.constant(module, "mask_axes", Tensor.vector(1, 2));
    String wide = blocks.node(module, "Unsqueeze", mask, axes);
    String real = blocks.cast(module, wide);
    String one = blocks.constant(module, "mask_one", Tensor.scalar(1f));
    String padding = blocks.node(module, "Sub", one, real);
    String lowest = blocks.constant(module, "mask_lowest", Tensor.scalar(LOWEST));
    return blocks.node(module, "Mul", padding, lowest);
  }

  /**
   * What is added to the scores so that a token attends to real tokens up to itself.
   *
   * @param mask int64 [batch, sequence], 1 for a real token
   * @param window how many tokens it sees, itself included; null for all
   * @return float32 [batch, 1, sequence, sequence], 0 where it attends
   */
  String causalMask(String module, String mask, @Nullable Integer window) {
    String positions = blocks.positions(module, mask);
    String query = unsqueeze(module, positions, 1);
    String key = unsqueeze(module, positions, 0);
    String seen = blocks.node(module, "LessOrEqual", key, query);
    if (window != null) {
      String distance = blocks.node(module, "Sub", query, key);
      String width = blocks.constant(module, "window", Tensor.scalar((long) window));
      seen = blocks.node(module, "And", seen, blocks.node(module, "Less", distance, width));
    }
    String wide = unsqueeze(module, mask, 1, 2);
    Map<String, Attribute> bool = Map.of("to", Attribute.of(DType.BOOL.onnxCode()));
    String real = blocks.node(module, "Cast", bool, wide);
    return blocks.node(
        module,
        "Where",
        blocks.node(module, "And", seen, real),
        blocks.constant(module, "mask_seen", Tensor.scalar(0f)),
        blocks.constant(module, "mask_lowest", Tensor.scalar(LOWEST)));
  }

  private String unsqueeze(String module, String x, long... axes) {
    String where = blocks.constant(module, "unsqueezed", Tensor.vector(axes));
    return blocks.node(module, "Unsqueeze", x, where);
  }

  /**
   * Lets several query heads in a row use one head of keys or values (grouped-query attention,
   * Ainslie et al. 2023, arXiv 2305.13245): [batch, heads / times, sequence, width] to [batch,
   * heads, sequence, width].
   */
  String repeatHeads(String module, String x, int times, int heads, int width) {
    if (times == 1) {
      return x;
    }
    String shape = blocks.constant(module, "repeats", Tensor.vector(1, 1, times, 1, 1));
    String repeated = blocks.node(module, "Expand", unsqueeze(module, x, 2), shape);
    String all = blocks.constant(module, "all_heads", Tensor.vector(0, heads, -1, width));
    return blocks.node(module, "Reshape", repeated, all);
  }

  /** [batch, sequence, heads * width] to [batch, heads, sequence, width]. */
  String splitHeads(String module, String x, long heads, long width) {
    String shape = blocks.constant(module, "heads", Tensor.vector(0, 0, heads, width));
    return swapHeads(module, blocks.node(module, "Reshape", x, shape));
  }

  /** [batch, heads, sequence, width] to [batch, sequence, size] with size = heads * width. */
  String mergeHeads(String module, String x, long size) {
    String shape = blocks.constant(module, "merged", Tensor.vector(0, 0, size));
    return blocks.node(module, "Reshape", swapHeads(module, x), shape);
  }

  private String swapHeads(String module, String x) {
    return blocks.node(module, "Transpose", Map.of("perm", Attribute.ofInts(0, 2, 1, 3)), x);
  }

  /**
   * dropout(softmax(q kᵀ / divisor + mask)) v.
   *
   * @param query [batch, heads, sequence, width]
   * @param key [batch, heads, other sequence, width]
   * @param value [batch, heads, other sequence, width]
   * @param mask added to the scores, with a shape that broadcasts to them; null for none
   * @return [batch, heads, sequence, width]
   */
  String context(
      String module,
      String query,
      String key,
      String value,
      double divisor,
      @Nullable String mask,
      double dropout) {
    String turned =
        blocks.node(module, "Transpose", Map.of("perm", Attribute.ofInts(0, 1, 3, 2)), key);
    String scores = blocks.node(module, "MatMul", query, turned);
    String scale = blocks.constant(module, "divisor", Tensor.scalar((float) divisor));
    scores = blocks.node(module, "Div", scores, scale);
    if (mask != null) {
      scores = blocks.node(module, "Add", scores, mask);
    }
    String shares = blocks.node(module, "Softmax", Map.of("axis", Attribute.of(-1)), scores);
    shares = blocks.dropout(module + ".dropout", shares, dropout);
    return blocks.node(module, "MatMul", shares, value);
  }
}

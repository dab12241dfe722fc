package io.peft4j.loaders.huggingface;

import io.peft4j.graph.Attribute;
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

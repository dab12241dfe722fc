package io.peft4j.loaders.huggingface;

import com.google.common.collect.ImmutableSet;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.Tensor;
import java.util.Map;

/** The activations of {@code hidden_act} and its kin, by the names of the reference library. */
final class Activations {
  static final ImmutableSet<String> NAMES =
      ImmutableSet.of(
          "gelu",
          "gelu_fast",
          "gelu_new",
          "gelu_python",
          "gelu_pytorch_tanh",
          "quick_gelu",
          "relu",
          "sigmoid",
          "silu",
          "swish",
          "tanh");

  private Activations() {}

  /**
   * Adds an activation.
   *
   * @param name one of {@link #NAMES}
   */
  static String add(GraphBlocks blocks, String module, String x, String name) {
    return switch (name) {
      case "gelu", "gelu_python" -> gelu(blocks, module, x, "none");
      case "gelu_new", "gelu_pytorch_tanh", "gelu_fast" -> gelu(blocks, module, x, "tanh");
      case "relu" -> blocks.node(module, "Relu", x);
      case "tanh" -> blocks.node(module, "Tanh", x);
      case "sigmoid" -> blocks.node(module, "Sigmoid", x);
      case "silu", "swish" -> blocks.node(module, "Mul", x, blocks.node(module, "Sigmoid", x));
      case "quick_gelu" -> {
        String factor = blocks.constant(module, "factor", Tensor.scalar(1.702f));
        String scaled = blocks.node(module, "Mul", x, factor);
        yield blocks.node(module, "Mul", x, blocks.node(module, "Sigmoid", scaled));
      }
      default -> throw new IllegalArgumentException("unknown activation " + name);
    };
  }

  private static String gelu(GraphBlocks blocks, String module, String x, String approximate) {
    return blocks.node(module, "Gelu", Map.of("approximate", Attribute.of(approximate)), x);
  }
}

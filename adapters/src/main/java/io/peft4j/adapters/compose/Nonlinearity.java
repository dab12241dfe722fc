package io.peft4j.adapters.compose;

import com.google.common.collect.ImmutableMap;
import io.peft4j.RecipeException;
import io.peft4j.adapter.NearestNames;
import io.peft4j.graph.Attribute;
import java.util.Locale;
import java.util.Map;

/** Activations by the names that AdapterHub's configurations give them. */
public final class Nonlinearity {
  private static final ImmutableMap<String, Activation> KNOWN =
      ImmutableMap.<String, Activation>builder()
          .put("relu", (at, scope, x) -> at.node(scope, "Relu", x))
          .put("tanh", (at, scope, x) -> at.node(scope, "Tanh", x))
          .put("sigmoid", (at, scope, x) -> at.node(scope, "Sigmoid", x))
          .put("gelu", (at, scope, x) -> gelu(at, scope, x, "none"))
          .put("gelu_new", (at, scope, x) -> gelu(at, scope, x, "tanh"))
          .put("gelu_pytorch_tanh", (at, scope, x) -> gelu(at, scope, x, "tanh"))
          .put("gelu_fast", (at, scope, x) -> gelu(at, scope, x, "tanh"))
          .put("swish", (at, scope, x) -> sigmoidal(at, scope, x, 1))
          .put("silu", (at, scope, x) -> sigmoidal(at, scope, x, 1))
          .put("quick_gelu", (at, scope, x) -> sigmoidal(at, scope, x, 1.702))
          .put("leakyrelu", Nonlinearity::leaky)
          .put("leaky_relu", Nonlinearity::leaky)
          .put("linear", (at, scope, x) -> x)
          .buildOrThrow();

  private Nonlinearity() {}

  private interface Activation {
    String add(Attachment at, String scope, String x);
  }

  /**
   * The name in lower case.
   *
   * @throws RecipeException if no activation has it
   */
  public static String checked(String name) {
    String lower = name.toLowerCase(Locale.ROOT);
    if (!KNOWN.containsKey(lower)) {
      throw new RecipeException(
          "non_linearity '%s' is not known; the nearest are %s"
              .formatted(name, NearestNames.of(lower, KNOWN.keySet())));
    }
    return lower;
  }

  /** Adds the activation of a checked name; gives its output. */
  public static String add(Attachment at, String scope, String x, String name) {
    Activation activation = KNOWN.get(name.toLowerCase(Locale.ROOT));
    if (activation == null) {
      throw new IllegalArgumentException("unchecked activation " + name);
    }
    return activation.add(at, scope, x);
  }

  private static String gelu(Attachment at, String scope, String x, String approximate) {
    return at.node(scope, "Gelu", Map.of("approximate", Attribute.of(approximate)), x);
  }

  /** x σ(factor x). */
  private static String sigmoidal(Attachment at, String scope, String x, double factor) {
    String scaled =
        factor == 1 ? x : at.node(scope, "Mul", x, at.number(scope + ".factor", factor));
    return at.node(scope, "Mul", x, at.node(scope, "Sigmoid", scaled));
  }

  private static String leaky(Attachment at, String scope, String x) {
    return at.node(scope, "LeakyRelu", Map.of("alpha", Attribute.of(0.01f)), x);
  }
}

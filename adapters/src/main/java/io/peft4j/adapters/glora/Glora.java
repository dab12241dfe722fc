package io.peft4j.adapters.glora;

import io.peft4j.adapter.Targets;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.LinearMethod;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * GLoRA (Chavan et al., arXiv 2306.07967): W' = W + W ⊙ A + B and, where the layer has a bias, b' =
 * b + b ⊙ D + E + W C. All start at zero, so that the model starts unchanged.
 *
 * @param rank rank of the paths that are low-rank products
 * @param weightPath form of A and B
 * @param biasFromWeightPath form of C; no constant
 * @param biasPath form of D and E; no low-rank product
 */
public record Glora(
    int rank,
    Path weightPath,
    Path biasFromWeightPath,
    Path biasPath,
    Targets targets,
    List<String> modulesToSave)
    implements LinearMethod {

  /** The forms of a path: a low-rank product, a vector, one number, or nothing. */
  public enum Path {
    LORA,
    VECTOR,
    CONSTANT,
    NONE
  }

  public Glora {
    Checks.atLeast("rank", rank, 1);
    Checks.oneOf(
        "biasFromWeightPath", biasFromWeightPath, List.of(Path.LORA, Path.VECTOR, Path.NONE));
    Checks.oneOf("biasPath", biasPath, List.of(Path.VECTOR, Path.CONSTANT, Path.NONE));
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** GLoRA of a rank on the feed-forward blocks. */
  public static Glora rank(int rank) {
    return new Glora(rank, Path.LORA, Path.LORA, Path.CONSTANT, Targets.feedForward(), List.of());
  }

  public Glora on(Targets newTargets) {
    return new Glora(rank, weightPath, biasFromWeightPath, biasPath, newTargets, modulesToSave);
  }

  @Override
  public String name() {
    return "glora";
  }

  @Override
  public Expression adapt(AdaptedLinear layer) {
    Expression weight = layer.weight();
    Expression factor = path(layer, "glora_A", weightPath, layer.out(), layer.in());
    Expression shift = path(layer, "glora_B", weightPath, layer.out(), layer.in());
    Expression changed = weight;
    if (factor != null && shift != null) {
      changed = weight.plus(weight.times(factor)).plus(shift);
    }
    Expression product = layer.x().matmul(changed.transposed());
    Expression bias = layer.bias();
    return bias == null ? product : product.plus(changed(layer, bias, weight));
  }

  private Expression changed(AdaptedLinear layer, Expression bias, Expression weight) {
    Expression result = bias;
    Expression mixed = path(layer, "glora_C", biasFromWeightPath, layer.in(), 1);
    Expression factor = path(layer, "glora_D", biasPath, layer.out(), 0);
    Expression shift = path(layer, "glora_E", biasPath, layer.out(), 0);
    if (factor != null && shift != null) {
      result = result.plus(bias.times(factor)).plus(shift);
    }
    return mixed == null ? result : result.plus(weight.matmul(mixed).reshaped(layer.out()));
  }

  /**
   * @param columns 0 for a plain vector
   */
  private @Nullable Expression path(
      AdaptedLinear layer, String name, Path form, int rows, int columns) {
    return switch (form) {
      case LORA ->
          layer
              .parameter(name + ".Xd", AdaptedLinear.filled(0, rows, rank))
              .matmul(layer.parameter(name + ".Xu", layer.kaiming(rank, columns)));
      case VECTOR ->
          layer.parameter(
              name + ".X",
              columns == 0 ? AdaptedLinear.filled(0, rows) : AdaptedLinear.filled(0, rows, 1));
      case CONSTANT -> layer.parameter(name + ".X", AdaptedLinear.filled(0, 1));
      case NONE -> null;
    };
  }
}

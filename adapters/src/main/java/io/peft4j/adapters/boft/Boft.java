package io.peft4j.adapters.boft;

import io.peft4j.PeftException;
import io.peft4j.RecipeException;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.Kernels;
import io.peft4j.adapters.linear.LinearMethod;
import io.peft4j.adapters.linear.Rotations;
import java.util.List;
import java.util.Set;

/**
 * BOFT (Liu et al., arXiv 2311.06243) with one butterfly factor, which is what PEFT computes
 * wherever its CUDA extension is missing, whatever the configuration asks for: y = s ⊙ (W (R x)) +
 * b with R block-diagonal and orthogonal. R starts as the identity and s at one, so that the model
 * starts unchanged.
 *
 * @param blockSize size of a block; 0 where blocks says how many there are
 * @param blocks number of blocks; 0 where blockSize says how large they are
 * @param dropout the probability with which training leaves a block unrotated
 */
public record Boft(
    int blockSize, int blocks, double dropout, Targets targets, List<String> modulesToSave)
    implements LinearMethod {

  public Boft {
    Checks.atLeast("blockSize", blockSize, 0);
    Checks.atLeast("blocks", blocks, 0);
    Checks.fraction("dropout", dropout);
    if (blockSize > 0 == blocks > 0) {
      throw new RecipeException(
          "blockSize is %d and blocks %d; give one of them and 0 for the other"
              .formatted(blockSize, blocks));
    }
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** BOFT with blocks of a size on the feed-forward blocks. */
  public static Boft block(int size) {
    return new Boft(size, 0, 0, Targets.feedForward(), List.of());
  }

  public Boft on(Targets newTargets) {
    return new Boft(blockSize, blocks, dropout, newTargets, modulesToSave);
  }

  @Override
  public String name() {
    return "boft";
  }

  @Override
  public Set<Integer> kernelAxes() {
    return Set.of(2);
  }

  @Override
  public Expression adapt(AdaptedLinear layer) {
    Kernels kernels = layer.kernels();
    if (kernels != null) {
      kernels.requireEven(name());
    }
    int divisor = blockSize > 0 ? blockSize : blocks;
    if (layer.in() % divisor != 0) {
      throw new PeftException(
          "'%s' has %d inputs, which %d does not divide; choose blocks of another size or number"
              .formatted(layer.path(), layer.in(), divisor));
    }
    int size = blockSize > 0 ? blockSize : layer.in() / blocks;
    Expression stored =
        layer.parameter("boft_R", AdaptedLinear.filled(0, 1, layer.in() / size, size, size));
    long[] column = {layer.out(), 1};
    long[] row = {1, layer.out()};
    Expression scales =
        layer.parameter("boft_s", AdaptedLinear.filled(1, kernels == null ? column : row));
    Expression scale = kernels == null ? scales : scales.transposed();
    Expression matrices = stored.squeezed(0);
    Expression skew = matrices.minus(matrices.transposed(0, 2, 1)).times(0.5);
    Expression rotations =
        Rotations.dropped(
            layer, Rotations.cayley(layer, skew, size), layer.in() / size, size, dropout);
    Expression rotated = Rotations.rotated(layer, rotations, size);
    return layer.withWeight(rotated.times(scale));
  }
}

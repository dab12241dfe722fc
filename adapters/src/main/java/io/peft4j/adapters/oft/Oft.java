package io.peft4j.adapters.oft;

import io.peft4j.PeftException;
import io.peft4j.RecipeException;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.LinearMethod;
import io.peft4j.adapters.linear.Rotations;
import java.util.List;

/**
 * OFT (Qiu et al., arXiv 2306.07280): y = W (R x) + b with R block-diagonal and orthogonal, made of
 * skew-symmetric blocks by Cayley's formula. The blocks start at zero, so that the model starts
 * unchanged.
 *
 * @param blockSize size of a block; 0 where blocks says how many there are
 * @param blocks number of blocks; 0 where blockSize says how large they are
 * @param coft whether the blocks' norm stays within eps / √blocks
 * @param eps the bound
 * @param blockShare whether one block serves for all
 * @param useCayleyNeumann whether the inverse is replaced by a few terms of its series
 * @param numCayleyNeumannTerms how many
 * @param moduleDropout the probability with which training leaves a block unrotated
 */
public record Oft(
    int blockSize,
    int blocks,
    boolean coft,
    double eps,
    boolean blockShare,
    boolean useCayleyNeumann,
    int numCayleyNeumannTerms,
    double moduleDropout,
    Targets targets,
    List<String> modulesToSave)
    implements LinearMethod {

  public Oft {
    Checks.atLeast("blockSize", blockSize, 0);
    Checks.atLeast("blocks", blocks, 0);
    Checks.positive("eps", eps);
    Checks.atLeast("numCayleyNeumannTerms", numCayleyNeumannTerms, 2);
    Checks.fraction("moduleDropout", moduleDropout);
    if (blockSize > 0 == blocks > 0) {
      throw new RecipeException(
          "blockSize is %d and blocks %d; give one of them and 0 for the other"
              .formatted(blockSize, blocks));
    }
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** OFT with blocks of a size on the feed-forward blocks. */
  public static Oft block(int size) {
    return new Oft(size, 0, false, 6e-5, false, true, 5, 0, Targets.feedForward(), List.of());
  }

  public Oft on(Targets newTargets) {
    return new Oft(
        blockSize,
        blocks,
        coft,
        eps,
        blockShare,
        useCayleyNeumann,
        numCayleyNeumannTerms,
        moduleDropout,
        newTargets,
        modulesToSave);
  }

  @Override
  public String name() {
    return "oft";
  }

  @Override
  public Expression adapt(AdaptedLinear layer) {
    int divisor = blockSize > 0 ? blockSize : blocks;
    if (layer.in() % divisor != 0) {
      throw new PeftException(
          "'%s' has %d inputs, which %d does not divide; choose blocks of another size or number"
              .formatted(layer.path(), layer.in(), divisor));
    }
    int size = blockSize > 0 ? blockSize : layer.in() / blocks;
    int stored = blockShare ? 1 : layer.in() / size;
    Expression upper =
        layer.parameter(
            "oft_R.weight", AdaptedLinear.filled(0, stored, (long) size * (size - 1) / 2));
    if (coft) {
      upper = bounded(upper, eps / Math.sqrt(stored));
    }
    Expression skew = Rotations.skew(layer, upper, size);
    Expression rotations =
        useCayleyNeumann
            ? Rotations.neumann(layer, skew, size, numCayleyNeumannTerms)
            : Rotations.cayley(layer, skew, size);
    Expression used = Rotations.dropped(layer, rotations, stored, size, moduleDropout);
    return layer.withWeight(Rotations.rotated(layer, used, size));
  }

  /**
   * The blocks scaled down to a norm (of the whole skew matrix, whose triangles count twice). The
   * gradient takes the scaled blocks for the parameters.
   */
  private static Expression bounded(Expression upper, double bound) {
    Expression norms = upper.times(upper).sum(1, true).times(2).sqrt();
    Expression factor = norms.clipped(bound, Float.MAX_VALUE).inverted().times(bound);
    return upper.plus(upper.times(factor).minus(upper).detached());
  }
}

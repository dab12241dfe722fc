package io.peft4j.compress.lowrank;

import io.peft4j.RecipeException;

/**
 * Which rank a layer gets. Two layers of rank r have r (in + out) parameters in place of in · out,
 * so that only ranks below in · out / (in + out) save any.
 */
public sealed interface RankRule {
  /**
   * The rank for a weight [out, in].
   *
   * @param singular its singular values, falling
   */
  int rank(long out, long in, double... singular);

  /** The same rank for every layer. */
  record Fixed(int rank) implements RankRule {
    public Fixed {
      if (rank < 1) {
        throw new RecipeException("rank must be at least 1, was " + rank);
      }
    }

    @Override
    public int rank(long out, long in, double... singular) {
      return Math.min(rank, singular.length);
    }
  }

  /**
   * The least rank that keeps a share of the sum of the squared singular values; what is lost is
   * √(1 − share) of the weight, or of its output where activations are looked at, at most.
   *
   * @param share above 0, at most 1
   */
  record Energy(double share) implements RankRule {
    public Energy {
      if (!(share > 0 && share <= 1)) {
        throw new RecipeException(
            "the share of energy must be above 0 and at most 1, was " + share);
      }
    }

    @Override
    public int rank(long out, long in, double... singular) {
      double total = 0;
      for (double value : singular) {
        total += value * value;
      }
      double kept = 0;
      for (int r = 0; r < singular.length; r++) {
        kept += singular[r] * singular[r];
        if (kept >= share * total) {
          return r + 1;
        }
      }
      return singular.length;
    }
  }

  /**
   * The highest rank that saves a share of a layer's weights.
   *
   * @param share above 0, below 1
   */
  record Saving(double share) implements RankRule {
    public Saving {
      if (!(share > 0 && share < 1)) {
        throw new RecipeException("the share to save must be above 0 and below 1, was " + share);
      }
    }

    @Override
    public int rank(long out, long in, double... singular) {
      return (int) Math.max(1, Math.floor((1 - share) * out * in / (out + in)));
    }
  }
}

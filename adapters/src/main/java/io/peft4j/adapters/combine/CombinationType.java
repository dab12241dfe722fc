package io.peft4j.adapters.combine;

import java.util.Locale;

/**
 * How adapters are combined. All but {@link #AVERAGE} are for LoRA; those that end in {@code _SVD}
 * work on the updates B A as a whole and cut the result to a rank, the others on A and B apart.
 */
public enum CombinationType {
  /** A and B summed, each with √|w s|. */
  LINEAR,
  /** A and B side by side: the sum of the updates, exactly; the ranks add up. */
  CAT,
  /** The sum of the updates, cut to a rank. */
  SVD,
  /** TIES (Yadav et al. 2023, arXiv 2306.01708): small entries out, the sign that most have. */
  TIES,
  TIES_SVD,
  /** DARE (Yu et al. 2023, arXiv 2311.03099): entries left out at random, the rest scaled up. */
  DARE_LINEAR,
  DARE_TIES,
  DARE_LINEAR_SVD,
  DARE_TIES_SVD,
  /** The sum of what is left when the smallest entries are set to zero. */
  MAGNITUDE_PRUNE,
  MAGNITUDE_PRUNE_SVD,
  /** The mean of every tensor, the weights divided by their sum. */
  AVERAGE;

  /** Whether entries are left out. */
  boolean prunes() {
    return is("TIES") || isRandom() || is("MAGNITUDE");
  }

  /** Whether entries are left out at random. */
  boolean isRandom() {
    return is("DARE");
  }

  /** Whether entries of the sign that fewer have are left out. */
  boolean electsSign() {
    return name().contains("TIES");
  }

  /** Whether the updates are combined as a whole. */
  boolean isOfUpdates() {
    return name().endsWith("SVD");
  }

  private boolean is(String start) {
    return name().startsWith(start);
  }

  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}

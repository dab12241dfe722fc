package io.peft4j.compress.sparse;

import io.peft4j.RecipeException;
import java.util.Locale;
import java.util.regex.Matcher;

/** How many weights go, and among which they are compared. */
public sealed interface Pattern {
  /** Among which weights the least important are looked for. */
  enum Scope {
    /** Those of all layers together; layers end up unequally sparse. */
    MODEL,
    /** Those of one layer. */
    LAYER,
    /** Those of one output of a layer, a row of its weight [out, in]. */
    ROW;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /**
   * A share of the weights, rounded down to a number of them.
   *
   * @param sparsity the share that goes, from 0 to below 1
   */
  record Share(double sparsity, Scope scope) implements Pattern {
    public Share {
      if (!(sparsity >= 0 && sparsity < 1)) {
        throw new RecipeException("sparsity must be from 0 to below 1, was " + sparsity);
      }
    }

    /** How many of so many weights go. */
    long count(long weights) {
      return (long) Math.floor(sparsity * weights + 1e-9); // 0.29 of 100 is 29
    }

    @Override
    public String toString() {
      return String.format(Locale.ROOT, "%s of each %s", sparsity, scope);
    }
  }

  /**
   * N:M: of each M weights of a row that stand side by side at most N are not zero. Kernels for 2:4
   * exist on NVIDIA's GPUs from Ampere on.
   *
   * @param kept N
   * @param group M
   */
  record NofM(int kept, int group) implements Pattern {
    public NofM {
      if (kept < 1 || kept >= group) {
        throw new RecipeException(
            "a pattern N:M keeps at least 1 and fewer than M of M weights, was %d:%d"
                .formatted(kept, group));
      }
    }

    @Override
    public String toString() {
      return kept + ":" + group;
    }
  }

  /** A share of the weights of each layer. */
  static Pattern share(double sparsity) {
    return new Share(sparsity, Scope.LAYER);
  }

  /**
   * Reads {@code 2:4}.
   *
   * @throws RecipeException if it is no such pattern
   */
  static Pattern parse(String text) {
    Matcher numbers = java.util.regex.Pattern.compile("(\\d{1,4}):(\\d{1,4})").matcher(text);
    if (!numbers.matches()) {
      throw new RecipeException("pattern must be N:M as in 2:4, was '" + text + "'");
    }
    return new NofM(Integer.parseInt(numbers.group(1)), Integer.parseInt(numbers.group(2)));
  }

  /** The share of zeros that the pattern asks for. */
  default double target() {
    if (this instanceof NofM groups) {
      return 1 - (double) groups.kept() / groups.group();
    }
    return ((Share) this).sparsity();
  }
}

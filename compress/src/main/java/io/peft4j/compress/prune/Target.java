package io.peft4j.compress.prune;

import io.peft4j.RecipeException;

/** How far to prune. */
public sealed interface Target {

  /** This share of the units of each structure goes, 0.3 for 30 %. */
  static Target share(double removed) {
    return new Share(removed);
  }

  /** So many parameters stay at most. */
  static Target parameters(long most) {
    return new Parameters(most);
  }

  /** This share of the floating-point operations goes. */
  static Target flops(double removed) {
    return new Flops(removed);
  }

  /** This share of the measured time goes. */
  static Target latency(double removed) {
    return new Latency(removed);
  }

  /**
   * A share of the units of each structure goes, more from one block than from another.
   *
   * @param removed from 0 to below 1
   */
  record Share(double removed) implements Target {
    public Share {
      requireShare("share", removed);
    }
  }

  /**
   * So many parameters stay at most.
   *
   * @param most 1 or more
   */
  record Parameters(long most) implements Target {
    public Parameters {
      if (most < 1) {
        throw new RecipeException("parameters must be at least 1, was " + most);
      }
    }
  }

  /**
   * A share of the floating-point operations goes.
   *
   * @param removed from 0 to below 1
   */
  record Flops(double removed) implements Target {
    public Flops {
      requireShare("flops", removed);
    }
  }

  /**
   * A share of the time goes that one row takes in ONNX Runtime on this machine, as measured.
   *
   * @param removed from 0 to below 1
   */
  record Latency(double removed) implements Target {
    public Latency {
      requireShare("latency", removed);
    }
  }

  private static void requireShare(String field, double value) {
    if (!(value >= 0 && value < 1)) {
      throw new RecipeException(field + " must be from 0 to below 1, was " + value);
    }
  }
}

package io.peft4j.engine.torch;

import java.util.List;
import java.util.OptionalLong;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * A whole number of the compiled program: known when compiling, or an expression of TorchScript
 * over sizes. Shapes and shape arithmetic are made of these, so that they never become tensors.
 *
 * @param code the expression; a number known when compiling is its own text
 * @param known the number, or null if only a run knows it
 */
record IntExpr(String code, @Nullable Long known) {
  static IntExpr of(long value) {
    return new IntExpr(Long.toString(value), value);
  }

  static IntExpr code(String code) {
    return new IntExpr(code, null);
  }

  boolean isKnown() {
    return known != null;
  }

  OptionalLong value() {
    return known == null ? OptionalLong.empty() : OptionalLong.of(known);
  }

  boolean is(long value) {
    return known != null && known == value;
  }

  boolean same(IntExpr other) {
    return code.equals(other.code);
  }

  IntExpr plus(IntExpr other) {
    if (is(0)) {
      return other;
    }
    if (other.is(0)) {
      return this;
    }
    return known != null && other.known != null
        ? of(known + other.known)
        : call("torch.add", other);
  }

  IntExpr minus(IntExpr other) {
    if (other.is(0)) {
      return this;
    }
    if (same(other)) {
      return of(0);
    }
    return known != null && other.known != null
        ? of(known - other.known)
        : call("torch.sub", other);
  }

  IntExpr times(IntExpr other) {
    if (is(1)) {
      return other;
    }
    if (other.is(1)) {
      return this;
    }
    return known != null && other.known != null
        ? of(known * other.known)
        : call("torch.mul", other);
  }

  /** Division that cuts off the fraction; of a size by a positive number it is floor division. */
  IntExpr dividedBy(IntExpr other) {
    if (other.is(1)) {
      return this;
    }
    if (known != null && other.known != null && other.known != 0) {
      return of(known / other.known);
    }
    return call("torch.floordiv", other);
  }

  private IntExpr call(String function, IntExpr other) {
    return code(function + "(" + code + ", " + other.code + ")");
  }

  /** The list as TorchScript writes it. */
  static String list(List<IntExpr> items) {
    return items.stream().map(IntExpr::code).collect(Collectors.joining(", ", "[", "]"));
  }

  @Override
  public String toString() {
    return code;
  }
}

package io.peft4j.graph;

import static com.google.common.base.Preconditions.checkArgument;

/**
 * The size of one axis: a number, or a symbol that stands for one that each run decides (empty if
 * it has no name).
 *
 * @param size the size, or -1 for a symbol
 * @param symbol the symbol's name; empty for a fixed size and for a symbol without a name
 */
public record Dim(long size, String symbol) {
  public Dim {
    checkArgument(size >= -1, "the size of an axis must not be negative, was %s", size);
    checkArgument(size == -1 || symbol.isEmpty(), "a fixed size has no symbol");
  }

  public static Dim of(long size) {
    return new Dim(size, "");
  }

  public static Dim of(String symbol) {
    return new Dim(-1, symbol);
  }

  public boolean isFixed() {
    return size >= 0;
  }

  @Override
  public String toString() {
    return isFixed() ? Long.toString(size) : symbol.isEmpty() ? "?" : symbol;
  }
}

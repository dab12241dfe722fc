package io.peft4j.adapters.linear;

import io.peft4j.PeftException;
import io.peft4j.RecipeException;
import java.util.List;
import java.util.Locale;

/** Ranges that settings of methods must lie in; the error names setting, range and value. */
public final class Checks {
  private Checks() {}

  public static void atLeast(String field, int value, int least) {
    if (value < least) {
      throw new RecipeException("%s must be at least %d, was %d".formatted(field, least, value));
    }
  }

  /** For what a layer limits. */
  public static void atMost(String field, int value, int most, String path) {
    if (value > most) {
      throw new PeftException(
          "%s is %d, but '%s' has only %d places; give less".formatted(field, value, path, most));
    }
  }

  /** For settings that allow only some of an enumeration's values. */
  public static <E extends Enum<E>> void oneOf(String field, E value, List<E> allowed) {
    if (!allowed.contains(value)) {
      throw new RecipeException(
          "%s must be one of %s, was %s"
              .formatted(
                  field,
                  allowed.toString().toLowerCase(Locale.ROOT),
                  value.name().toLowerCase(Locale.ROOT)));
    }
  }

  public static void positive(String field, double value) {
    if (!(value > 0) || Double.isInfinite(value)) {
      throw new RecipeException("%s must be a positive number, was %s".formatted(field, value));
    }
  }

  public static void number(String field, double value) {
    if (!Double.isFinite(value)) {
      throw new RecipeException("%s must be a number, was %s".formatted(field, value));
    }
  }

  /** From 0 to below 1. */
  public static void fraction(String field, double value) {
    if (!(value >= 0 && value < 1)) {
      throw new RecipeException("%s must be from 0 to below 1, was %s".formatted(field, value));
    }
  }
}

package io.peft4j.adapters.linear;

import io.peft4j.RecipeException;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Pattern;

/** Settings that differ by module ({@code rank_pattern}, {@code alpha_pattern}). */
public final class Patterns {
  private Patterns() {}

  /** A copy in the same order, whose ranks are all at least 1. */
  public static Map<String, Integer> ranks(Map<String, Integer> patterns) {
    patterns.forEach(
        (module, r) -> {
          if (r < 1) {
            throw new RecipeException("rank of '" + module + "' must be at least 1, was " + r);
          }
        });
    return copy(patterns);
  }

  /** A copy in the same order. */
  public static <T> Map<String, T> copy(Map<String, T> patterns) {
    return Collections.unmodifiableMap(new LinkedHashMap<>(patterns));
  }

  /**
   * The value of the first key that matches the end of a path, as an expression behind its start or
   * a dot.
   */
  public static <T> T pick(Map<String, T> patterns, String path, T otherwise) {
    for (Map.Entry<String, T> entry : patterns.entrySet()) {
      if (Pattern.matches("(.*\\.)?(" + entry.getKey() + ")", path)) {
        return entry.getValue();
      }
    }
    return otherwise;
  }
}

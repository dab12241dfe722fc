package io.peft4j.adapter;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * How a method stands in a training recipe, under {@code adapter}. Found by ServiceLoader; a third
 * party adds one for its method.
 */
public interface MethodRecipe {
  /** All recipes that are found with this one: itself, or the same method under several names. */
  default List<MethodRecipe> variants() {
    return List.of(this);
  }

  /** The value of {@code adapter.method}. */
  String method();

  /** The keys that the method reads, without {@code adapter.} before them. */
  List<String> keys();

  /**
   * The method with these settings.
   *
   * @throws io.peft4j.RecipeException if a value is of the wrong kind or out of its range
   */
  AdapterMethod read(MethodSettings settings);

  /** Whether this is a recipe of a method. */
  boolean describes(AdapterMethod method);

  /**
   * All settings of a method as {@link #read} takes them: texts, numbers, booleans, nulls, and
   * lists and maps of them.
   */
  Map<String, @Nullable Object> write(AdapterMethod method);
}

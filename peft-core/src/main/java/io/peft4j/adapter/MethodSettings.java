package io.peft4j.adapter;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The settings of a method as a recipe or a configuration file gives them. Reading one of the wrong
 * kind is an error that names its place.
 */
public interface MethodSettings {
  boolean has(String key);

  String text(String key, String absent);

  int whole(String key, int absent);

  double number(String key, double absent);

  boolean flag(String key, boolean absent);

  /** A list of texts; a single text is a list of one, none an empty list. */
  List<String> texts(String key);

  /** A list of whole numbers; a single number is a list of one, none an empty list. */
  List<Integer> wholes(String key);

  /** A map from texts to numbers, in the order given; none is an empty map. */
  Map<String, Double> numbers(String key);

  /** A map from texts to whole numbers, in the order given; none is an empty map. */
  Map<String, Integer> wholeNumbers(String key);

  /** The modules that are meant; null if none are given. */
  @Nullable Targets targets(String key);
}

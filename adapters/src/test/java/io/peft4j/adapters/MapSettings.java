package io.peft4j.adapters;

import io.peft4j.RecipeException;
import io.peft4j.adapter.MethodSettings;
import io.peft4j.adapter.Targets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Settings as {@link io.peft4j.adapter.MethodRecipe#write} gives them; null counts as not given.
 */
record MapSettings(Map<String, @Nullable Object> values) implements MethodSettings {
  @Override
  public boolean has(String key) {
    return values.get(key) != null;
  }

  @Override
  public String text(String key, String absent) {
    return has(key) ? (String) values.get(key) : absent;
  }

  @Override
  public int whole(String key, int absent) {
    return has(key) ? ((Number) values.get(key)).intValue() : absent;
  }

  @Override
  public double number(String key, double absent) {
    if (has(key) && !(values.get(key) instanceof Number)) {
      throw new RecipeException("%s must be a number, was '%s'".formatted(key, values.get(key)));
    }
    return has(key) ? ((Number) values.get(key)).doubleValue() : absent;
  }

  @Override
  public boolean flag(String key, boolean absent) {
    if (has(key) && !(values.get(key) instanceof Boolean)) {
      throw new RecipeException("%s must be a flag, was '%s'".formatted(key, values.get(key)));
    }
    return has(key) ? (Boolean) values.get(key) : absent;
  }

  @Override
  public List<String> texts(String key) {
    return list(key).stream().map(String.class::cast).toList();
  }

  @Override
  public List<Integer> wholes(String key) {
    if (values.get(key) instanceof String text) {
      throw new RecipeException("%s must be whole numbers, was '%s'".formatted(key, text));
    }
    return list(key).stream().map(value -> ((Number) value).intValue()).toList();
  }

  @Override
  public Map<String, Double> numbers(String key) {
    Map<String, Double> numbers = new LinkedHashMap<>();
    map(key).forEach((name, value) -> numbers.put(name, ((Number) value).doubleValue()));
    return numbers;
  }

  @Override
  public Map<String, Integer> wholeNumbers(String key) {
    Map<String, Integer> numbers = new LinkedHashMap<>();
    map(key).forEach((name, value) -> numbers.put(name, ((Number) value).intValue()));
    return numbers;
  }

  @Override
  public @Nullable Targets targets(String key) {
    List<String> given = texts(key);
    if (values.get(key) instanceof List<?>) {
      return Targets.named(given);
    }
    return given.isEmpty() ? null : Targets.parse(given.get(0));
  }

  private List<?> list(String key) {
    Object value = values.get(key);
    return value == null ? List.of() : value instanceof List<?> list ? list : List.of(value);
  }

  @SuppressWarnings("unchecked") // keys of settings are texts
  private Map<String, Object> map(String key) {
    return values.get(key) instanceof Map<?, ?> map ? (Map<String, Object>) map : Map.of();
  }
}

package io.peft4j.adapters;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.peft4j.RecipeException;
import io.peft4j.adapter.MethodRecipe;
import io.peft4j.adapter.MethodRecipes;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** A number out of its range is refused by the key that the user wrote. */
class SettingsOutOfRangeTest {
  /** Keys that may be negative. */
  private static final Pattern SIGNED =
      Pattern.compile(".*seed|.*prng_key|d_initial|vera_[bd]|alpha|tinit|tfinal|scaling");

  static Stream<String> names() {
    return MethodRecipes.all().stream().map(MethodRecipe::method);
  }

  /** The keys that hold numbers, with numbers that few of them allow. */
  private static Map<String, List<Number>> numbers(String name) {
    Map<String, List<Number>> numbers = new LinkedHashMap<>();
    MethodRecipes.named(name)
        .write(SmallMethods.named(name))
        .forEach(
            (key, value) -> {
              if (key.startsWith("phm_") && !name.startsWith("compacter")) {
                return; // counts only with phm_layer
              }
              if (value instanceof Double) {
                numbers.put(key, List.of(-3.0, Double.NaN));
              } else if (value instanceof Integer) {
                numbers.put(key, List.of(-3));
              }
            });
    return numbers;
  }

  @ParameterizedTest
  @MethodSource("names")
  void whatIsRefusedIsNamedAsItWasWritten(String name) {
    numbers(name)
        .forEach(
            (key, values) -> {
              for (Number value : values) {
                Throwable refusal =
                    catchThrowable(() -> SmallMethods.with(name, Map.of(key, value)));
                if (refusal == null) {
                  boolean signed = !value.equals(Double.NaN) && SIGNED.matcher(key).matches();
                  assertThat(signed).as("%s takes %s %s", name, key, value).isTrue();
                } else {
                  assertThat(refusal)
                      .as("%s %s %s", name, key, value)
                      .isInstanceOf(RecipeException.class)
                      .hasMessageContaining(key);
                }
              }
            });
  }

  @Test
  void everyMethodHasItsNumbers() {
    assertThat(names().mapToInt(name -> numbers(name).size()).sum()).isGreaterThan(100);
  }
}

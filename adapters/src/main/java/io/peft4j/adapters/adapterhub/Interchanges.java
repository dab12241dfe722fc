package io.peft4j.adapters.adapterhub;

import io.peft4j.UnsupportedModelException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapters.compose.ComposableMethod;
import io.peft4j.adapters.peft.PeftConfig;
import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;
import org.jspecify.annotations.Nullable;

/** The interchanges on the class path. */
public final class Interchanges {
  private Interchanges() {}

  private static List<AdapterHubInterchange> all() {
    return ServiceLoader.load(AdapterHubInterchange.class).stream()
        .map(ServiceLoader.Provider::get)
        .toList();
  }

  public static boolean writes(AdapterMethod method) {
    return all().stream().anyMatch(i -> i.writes(method));
  }

  /**
   * The method of a {@code config} object.
   *
   * @throws UnsupportedModelException if its architecture, or a field, is not supported, by name
   */
  public static AdapterMethod read(PeftConfig settings) {
    String given = settings.text("architecture", "");
    String architecture = given.equals("bottleneck") ? "" : given;
    return all().stream()
        .filter(i -> i.architecture().equals(architecture))
        .findFirst()
        .orElseThrow(
            () ->
                new UnsupportedModelException(
                    "%s: field '%s' is '%s', which is not supported; supported are none (bottleneck), %s"
                        .formatted(
                            settings.file(),
                            settings.named("architecture"),
                            given,
                            String.join(
                                ", ",
                                all().stream()
                                    .map(AdapterHubInterchange::architecture)
                                    .filter(name -> !name.isEmpty())
                                    .sorted()
                                    .toList()))))
        .read(settings);
  }

  /**
   * As {@link #read}, for a method that is attached together with others.
   *
   * @throws UnsupportedModelException as {@link #read}, or if it cannot be composed
   */
  public static ComposableMethod composable(PeftConfig settings) {
    AdapterMethod method = read(settings);
    if (method instanceof ComposableMethod composable) {
      return composable;
    }
    throw new UnsupportedModelException(
        "%s: %s cannot be attached together with other methods"
            .formatted(settings.file(), method.name()));
  }

  /** The {@code config} object of a method. */
  public static Map<String, @Nullable Object> fields(AdapterMethod method) {
    return all().stream()
        .filter(i -> i.writes(method))
        .findFirst()
        .orElseThrow(() -> new IllegalStateException("AdapterHub has no " + method.name()))
        .fields(method);
  }
}

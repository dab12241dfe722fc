package io.peft4j.adapter;

import io.peft4j.RecipeException;
import java.util.Comparator;
import java.util.List;
import java.util.ServiceLoader;

/** The recipes of all methods on the class path. */
public final class MethodRecipes {
  private MethodRecipes() {}

  /** In the order of their names. */
  public static List<MethodRecipe> all() {
    return ServiceLoader.load(MethodRecipe.class).stream()
        .flatMap(provider -> provider.get().variants().stream())
        .sorted(Comparator.comparing(MethodRecipe::method))
        .toList();
  }

  /**
   * The recipe of this name.
   *
   * @throws RecipeException if there is none; the message lists all
   */
  public static MethodRecipe named(String name) {
    return all().stream()
        .filter(recipe -> recipe.method().equals(name))
        .findFirst()
        .orElseThrow(
            () ->
                new RecipeException(
                    "adapter.method must be one of %s, was '%s'"
                        .formatted(
                            String.join(", ", all().stream().map(MethodRecipe::method).toList()),
                            name)));
  }

  /** The recipe of a method. */
  public static MethodRecipe of(AdapterMethod method) {
    return all().stream()
        .filter(recipe -> recipe.describes(method))
        .findFirst()
        .orElseThrow(() -> new IllegalStateException("no recipe for " + method.name()));
  }
}

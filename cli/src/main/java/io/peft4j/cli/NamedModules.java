package io.peft4j.cli;

import io.peft4j.RecipeException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.MethodRecipes;
import io.peft4j.adapter.NearestNames;
import io.peft4j.site.Site;
import io.peft4j.site.Sites;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * Holds the modules that a recipe names beside its targets against the model. Files of other tools
 * may name modules that a model lacks; who writes a recipe means something by each.
 */
final class NamedModules {
  private static final String SAVED = "modules_to_save";
  private static final String PATTERN = "_pattern";

  private NamedModules() {}

  /**
   * @param method as the recipe has it
   * @param adapter what it attached
   * @throws RecipeException naming a module to save that the model lacks, or a pattern that none of
   *     the adapted layers fits
   */
  static void require(AdapterMethod method, AttachedAdapter adapter) {
    MethodRecipes.of(method)
        .write(method)
        .forEach(
            (key, value) -> {
              if (key.equals(SAVED) && value instanceof Collection<?> names) {
                List<String> paths =
                    Sites.of(adapter.base()).modules().stream().map(Site::path).toList();
                names.forEach(
                    name ->
                        require(
                            key,
                            "(.*\\.)?" + Pattern.quote("" + name) + "(\\..*)?",
                            "" + name,
                            paths));
              } else if (key.endsWith(PATTERN) && value instanceof Map<?, ?> patterns) {
                patterns
                    .keySet()
                    .forEach(
                        name ->
                            require(key, "(.*\\.)?(" + name + ")", "" + name, adapter.targets()));
              }
            });
  }

  private static void require(String key, String expression, String name, List<String> paths) {
    if (paths.stream().noneMatch(Pattern.compile(expression).asMatchPredicate())) {
      throw new RecipeException(
          "adapter.%s names '%s', which is no module %s; the nearest are %s"
              .formatted(
                  key,
                  name,
                  key.equals(SAVED) ? "of this model" : "that the adapter changes",
                  NearestNames.of(name, paths)));
    }
  }
}

package io.peft4j.adapter;

import io.peft4j.PeftException;
import io.peft4j.RecipeException;
import io.peft4j.site.Site;
import io.peft4j.site.Sites;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Targets with PEFT's further rules: modules left out, modules trained whole, and layers by number.
 * As in PEFT the layer numbers hold for names that match the end of a path only.
 */
record RestrictedTargets(
    Targets targets,
    @Nullable Targets excluded,
    List<String> saved,
    List<Integer> layers,
    List<String> layersPattern)
    implements Targets {

  private static final Pattern FIRST_NUMBER = Pattern.compile(".*?\\.[^.]*\\.(\\d+)\\..*");

  RestrictedTargets {
    saved = List.copyOf(saved);
    layers = List.copyOf(layers);
    layersPattern = List.copyOf(layersPattern);
    if (!layers.isEmpty() && targets instanceof ByExpression) {
      throw new RecipeException(
          "layers_to_transform does not go with an expression in target_modules; put the layer"
              + " numbers into the expression or name the modules in a list");
    }
    if (layers.isEmpty() && !layersPattern.isEmpty()) {
      throw new RecipeException("layers_pattern needs layers_to_transform beside it");
    }
  }

  @Override
  public List<Site> select(Sites sites) {
    List<Site> found = targets.select(sites).stream().filter(this::stays).toList();
    if (found.isEmpty()) {
      throw new PeftException(
          "exclude_modules, modules_to_save or layers_to_transform leave no target; widen them");
    }
    return found;
  }

  @Override
  public Object plain() {
    return targets.plain();
  }

  private boolean stays(Site site) {
    return !isExcluded(site.path())
        && saved.stream().noneMatch(module -> isWithin(site.path(), module))
        && (layers.isEmpty() || isExact(site.path()) || inLayers(site.path()));
  }

  private boolean isExcluded(String path) {
    if (excluded instanceof ByName byName) {
      return byName.names().stream().anyMatch(name -> ByName.matches(path, name));
    }
    return excluded instanceof ByExpression expression && path.matches(expression.expression());
  }

  /** Whether a path is a module of this name or lies in one. */
  static boolean isWithin(String path, String module) {
    return ("." + path + ".").contains("." + module + ".");
  }

  private boolean isExact(String path) {
    return targets instanceof ByName byName && byName.names().contains(path);
  }

  private boolean inLayers(String path) {
    if (layersPattern.isEmpty()) {
      return matches(FIRST_NUMBER, path);
    }
    return layersPattern.stream()
        .map(p -> Pattern.compile("(?:^|.*?\\.)" + p + "\\.(\\d+)\\..*"))
        .anyMatch(p -> matches(p, path));
  }

  private boolean matches(Pattern pattern, String path) {
    Matcher matcher = pattern.matcher(path);
    return matcher.matches() && layers.contains(Integer.valueOf(matcher.group(1)));
  }
}

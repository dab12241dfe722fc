package io.peft4j.adapter;

import io.peft4j.PeftException;
import io.peft4j.RecipeException;
import io.peft4j.site.LinearSite;
import io.peft4j.site.Site;
import io.peft4j.site.Sites;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import org.jspecify.annotations.Nullable;

/**
 * Which modules an adapter changes: by role, by names, or by a regular expression over module
 * paths. Names and expressions follow PEFT's rules.
 */
public sealed interface Targets
    permits Targets.ByRole, Targets.Norms, Targets.ByName, Targets.ByExpression, RestrictedTargets {
  /**
   * The sites that are meant, in the model's order.
   *
   * @throws PeftException if nothing matches, or one of several names matches nothing; the message
   *     lists near names
   */
  List<Site> select(Sites sites);

  /** The targets as {@link #parse} or a list of names says them: a text or a list of texts. */
  Object plain();

  /** The feed-forward blocks' linear layers. */
  static Targets feedForward() {
    return new ByRole("feed-forward", site -> site.role().isFeedForward());
  }

  /** The attention blocks' linear layers, output included. */
  static Targets attention() {
    return new ByRole("attention", site -> site.role().isAttention());
  }

  /** Every linear layer of the blocks; not those that only make the output. */
  static Targets allLinear() {
    return new ByRole("all-linear", new AllLinear());
  }

  /** Nothing, where some of the targets are to be treated otherwise than the rest. */
  static Targets none() {
    return new ByExpression("(?!)");
  }

  /** Every norm. */
  static Targets norms() {
    return new Norms();
  }

  /** Modules whose path is one of these names or ends in a dot and one. */
  static Targets named(List<String> names) {
    return new ByName(names);
  }

  /** Modules whose whole path the expression matches. */
  static Targets matching(String expression) {
    return new ByExpression(expression);
  }

  /**
   * Targets as a user writes them: {@code feed-forward}, {@code attention}, {@code all-linear},
   * {@code norms}, names separated by commas, or a regular expression.
   */
  static Targets parse(String text) {
    return switch (text) {
      case "feed-forward" -> feedForward();
      case "attention" -> attention();
      case "all-linear" -> allLinear();
      case "norms" -> norms();
      default ->
          text.matches("[\\w.,\\- ]+") ? named(List.of(text.split("\\s*,\\s*"))) : matching(text);
    };
  }

  /**
   * The same targets with PEFT's further rules.
   *
   * @param excluded names or one expression of modules to leave out; null for none
   * @param saved names of modules that are trained whole and therefore never targets
   * @param layers numbers of the layers to stay in; empty for all
   * @param layersPattern names of the list that layers are counted in; empty for the first number
   *     of a path
   */
  static Targets restricted(
      Targets targets,
      @Nullable Targets excluded,
      List<String> saved,
      List<Integer> layers,
      List<String> layersPattern) {
    boolean free =
        excluded == null && saved.isEmpty() && layers.isEmpty() && layersPattern.isEmpty();
    return free ? targets : new RestrictedTargets(targets, excluded, saved, layers, layersPattern);
  }

  /** Whether a linear layer is meant, without regard to the others. */
  default boolean includes(LinearSite site) {
    if (this instanceof ByRole role) {
      return role.test().test(site);
    }
    if (this instanceof ByName byName) {
      return byName.names().stream().anyMatch(name -> ByName.matches(site.path(), name));
    }
    return this instanceof ByExpression expression && site.path().matches(expression.expression());
  }

  /**
   * What of a layer's path names it among its kind: the name or expression that means it; for
   * roles, the role.
   */
  default String endOf(LinearSite site) {
    if (this instanceof ByName byName) {
      return byName.names().stream()
          .filter(name -> ByName.matches(site.path(), name))
          .reduce((first, last) -> last)
          .orElse(site.path());
    }
    return this instanceof ByExpression expression ? expression.expression() : site.role().label();
  }

  /** Every norm of a model. */
  record Norms() implements Targets {
    @Override
    public Object plain() {
      return "norms";
    }

    @Override
    public List<Site> select(Sites sites) {
      if (sites.norms().isEmpty()) {
        throw new PeftException("target 'norms' matches nothing: this model has no norm");
      }
      return List.copyOf(sites.norms());
    }
  }

  /** By what linear layers do in their blocks. */
  record ByRole(String name, Predicate<LinearSite> test) implements Targets {
    @Override
    public Object plain() {
      return name;
    }

    @Override
    public List<Site> select(Sites sites) {
      List<Site> found = new ArrayList<>(sites.linears().stream().filter(test).toList());
      if (found.isEmpty()) {
        throw new PeftException(
            "target '%s' matches no layer of this model; it has %s"
                .formatted(name, paths(sites.linears())));
      }
      return found;
    }
  }

  /** PEFT's "all-linear": every linear layer but the one that makes an output or is a head. */
  record AllLinear() implements Predicate<LinearSite> {
    private static final Set<String> HEADS = Set.of("classifier", "score", "lm_head", "out_proj");

    @Override
    public boolean test(LinearSite site) {
      return site.role() != io.peft4j.site.Role.OUTPUT
          && !HEADS.contains(site.path().substring(site.path().lastIndexOf('.') + 1));
    }
  }

  /** By names. */
  record ByName(List<String> names) implements Targets {
    public ByName {
      names = List.copyOf(names);
      if (names.isEmpty()) {
        throw new RecipeException("target_modules is empty; name at least one module");
      }
    }

    @Override
    public Object plain() {
      return names;
    }

    static boolean matches(String path, String name) {
      return path.equals(name) || path.endsWith("." + name);
    }

    @Override
    public List<Site> select(Sites sites) {
      Set<Site> found = new LinkedHashSet<>();
      for (Site site : sites.modules()) {
        if (names.stream().anyMatch(name -> matches(site.path(), name))) {
          found.add(site);
        }
      }
      for (String name : names) {
        if (found.stream().noneMatch(site -> matches(site.path(), name))) {
          throw new PeftException(
              "target '%s' matches no module of this model; the nearest are %s"
                  .formatted(name, NearestNames.of(name, candidates(sites, name))));
        }
      }
      return List.copyOf(found);
    }

    /** Ends of paths with as many parts as the name has, since names match ends. */
    private static List<String> candidates(Sites sites, String name) {
      int parts = name.split("\\.", -1).length;
      return sites.modules().stream()
          .map(
              site -> {
                String[] path = site.path().split("\\.", -1);
                int from = Math.max(0, path.length - parts);
                return String.join(".", List.of(path).subList(from, path.length));
              })
          .distinct()
          .toList();
    }
  }

  /** By a regular expression. */
  record ByExpression(String expression) implements Targets {
    public ByExpression {
      compile(expression);
    }

    @Override
    public Object plain() {
      return expression;
    }

    private static Pattern compile(String expression) {
      try {
        return Pattern.compile(expression);
      } catch (PatternSyntaxException e) {
        throw new RecipeException(
            "target expression '%s' is no regular expression: %s"
                .formatted(expression, e.getDescription()),
            e);
      }
    }

    @Override
    public List<Site> select(Sites sites) {
      Pattern pattern = compile(expression);
      List<Site> found =
          sites.modules().stream().filter(s -> pattern.matcher(s.path()).matches()).toList();
      if (found.isEmpty()) {
        throw new PeftException(
            "target expression '%s' matches no module of this model; the nearest are %s"
                .formatted(
                    expression,
                    NearestNames.of(
                        expression, sites.modules().stream().map(Site::path).toList())));
      }
      return found;
    }
  }

  private static String paths(List<LinearSite> sites) {
    List<String> some = sites.stream().map(LinearSite::path).limit(5).toList();
    return sites.isEmpty()
        ? "no linear layer"
        : String.join(", ", some) + (sites.size() > 5 ? ", … (peft4j inspect lists all)" : "");
  }
}

package io.peft4j.adapters.peft;

import io.peft4j.RecipeException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.MethodRecipe;
import io.peft4j.adapter.RecordSettings;
import io.peft4j.adapter.Targets;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A method that is a record, in recipes and in PEFT's configurations: each component is a key of
 * both. A method needs a subclass with a public constructor of no arguments, and a line for it in
 * the service files of {@link PeftInterchange} and {@link MethodRecipe}.
 *
 * @param <T> the record; its targets are a component called {@code targets}
 */
public abstract class RecordInterchange<T extends Record & AdapterMethod> extends RecordRecipe<T> {
  private static final String TARGETS = "target_modules";

  private final RecordSettings<T> configuration;

  /**
   * @param peftType the value of {@code peft_type}
   * @param standard the method with the values of what a recipe does not give
   * @param peftStandard likewise for a configuration
   * @param fields names in a configuration that are not the component's in snake case, by component
   */
  protected RecordInterchange(
      String peftType, T standard, T peftStandard, Map<String, String> fields) {
    super(peftType, standard, Map.of());
    Map<String, String> names = new HashMap<>(fields);
    names.put("targets", TARGETS);
    configuration = new RecordSettings<>(peftStandard, names);
  }

  /** The targets of a configuration that names none, by model type. */
  protected Map<String, List<String>> usualTargets() {
    return UsualTargets.QUERY_VALUE;
  }

  /** Fields that change what the adapter computes and are not supported. */
  protected List<String> unsupported() {
    return List.of();
  }

  /** Further fields of a new configuration. */
  protected Map<String, @Nullable Object> furtherFields() {
    return Map.of();
  }

  @Override
  public AdapterMethod read(PeftConfig config, String modelType) {
    unsupported().forEach(config::refuse);
    config.refuse("bias", "none");
    try {
      return configuration.read(
          config.withTargets(TARGETS, UsualTargets.of(config, modelType, usualTargets())));
    } catch (RecipeException e) {
      throw config.wrongValue(e);
    }
  }

  @Override
  public Map<String, @Nullable Object> write(AttachedAdapter adapter) {
    Map<String, @Nullable Object> fields = new LinkedHashMap<>(furtherFields());
    fields.put("bias", "none");
    fields.put("exclude_modules", null);
    fields.put("layers_to_transform", null);
    fields.put("layers_pattern", null);
    fields.putAll(configuration.write(adapter.method()));
    // Roles are ours alone: PEFT gets the paths that they stand for.
    fields.computeIfPresent(TARGETS, (key, value) -> targetModules(adapter, value));
    fields.computeIfPresent(
        "modules_to_save",
        (key, value) -> value instanceof List<?> l && l.isEmpty() ? null : value);
    fields.putIfAbsent("modules_to_save", null);
    return fields;
  }

  private Object targetModules(AttachedAdapter adapter, Object plain) {
    Targets meant = plain instanceof String text ? Targets.parse(text) : Targets.norms();
    boolean ours = meant instanceof Targets.ByRole || meant instanceof Targets.Norms;
    return ours && plain instanceof String ? adapter.targets() : plain;
  }
}

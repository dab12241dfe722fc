package io.peft4j.adapters.adapterhub;

import com.google.common.collect.ImmutableMap;
import io.peft4j.CheckpointFormatException;
import io.peft4j.RecipeException;
import io.peft4j.UnsupportedModelException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.MethodRecipe;
import io.peft4j.adapter.MethodSettings;
import io.peft4j.adapters.compose.ComposableMethod;
import io.peft4j.adapters.peft.PeftConfig;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * A method in AdapterHub's configurations and, under the same keys, in recipes: there under several
 * names, each with settings of its own for what is not given.
 */
public abstract class PresetInterchange implements AdapterHubInterchange, MethodRecipe {
  private static final String SAVED = "modules_to_save";
  private static final String RECIPE = "the recipe";

  /** Fields of a configuration that no recipe sets. */
  private static final Set<String> FIXED =
      Set.of("architecture", "init_weights_seed", "cross_adapter", "dtype", "output_reft");

  private final ImmutableMap<String, ComposableMethod> presets;

  /**
   * @param presets the settings by name, the general one first
   */
  protected PresetInterchange(Map<String, ComposableMethod> presets) {
    this.presets = ImmutableMap.copyOf(presets);
  }

  @Override
  public List<MethodRecipe> variants() {
    return presets.keySet().stream().<MethodRecipe>map(Preset::new).toList();
  }

  @Override
  public String method() {
    return presets.keySet().iterator().next();
  }

  @Override
  public List<String> keys() {
    List<String> keys = new ArrayList<>(fields(presets.values().iterator().next()).keySet());
    keys.removeAll(FIXED);
    keys.add(SAVED);
    return keys;
  }

  @Override
  public AdapterMethod read(MethodSettings settings) {
    return read(settings, presets.values().iterator().next());
  }

  @Override
  public boolean describes(AdapterMethod method) {
    return writes(NewConfig.bare(method));
  }

  @Override
  public Map<String, @Nullable Object> write(AdapterMethod method) {
    Map<String, @Nullable Object> fields = new LinkedHashMap<>(fields(NewConfig.bare(method)));
    fields.keySet().removeAll(FIXED);
    fields.put(SAVED, method instanceof WithHead with ? with.modulesToSave() : List.of());
    return fields;
  }

  private AdapterMethod read(MethodSettings settings, ComposableMethod standard) {
    Map<String, @Nullable Object> fields = new LinkedHashMap<>(fields(standard));
    for (Map.Entry<String, @Nullable Object> field : fields.entrySet()) {
      if (!FIXED.contains(field.getKey()) && settings.has(field.getKey())) {
        field.setValue(value(settings, field.getKey(), field.getValue()));
      }
    }
    List<String> saved = settings.texts(SAVED);
    try {
      AdapterMethod method = read(PeftConfig.of(Path.of(RECIPE), fields));
      return saved.isEmpty() ? method : new WithHead((ComposableMethod) method, saved, null);
    } catch (CheckpointFormatException | UnsupportedModelException e) {
      throw new RecipeException(
          String.valueOf(e.getMessage()).replaceFirst("^" + RECIPE + ": (field '([^']*)')?", "$2"),
          e);
    }
  }

  /** A setting of the kind that the standard value is of, or of another that the field may have. */
  private static Object value(MethodSettings settings, String key, @Nullable Object standard) {
    if (standard instanceof Boolean flag && !key.equals("residual_before_ln")) {
      return settings.flag(key, flag);
    }
    if (standard instanceof Integer whole) {
      return settings.whole(key, whole);
    }
    if (standard instanceof List<?> && !key.equals("attn_matrices")) {
      return settings.wholes(key);
    }
    if (key.equals("attn_matrices")) {
      return settings.texts(key);
    }
    return switch (key) {
      case "reduction_factor" -> either(() -> settings.number(key, 0), () -> settings.numbers(key));
      case "scaling", "dropout_prob", "inv_adapter_reduction_factor", "vera_b", "vera_d" ->
          either(() -> settings.number(key, 0), () -> settings.text(key, ""));
      case "residual_before_ln" ->
          either(() -> settings.flag(key, true), () -> settings.text(key, ""));
      case "layers" -> either(() -> settings.wholes(key), () -> settings.text(key, ""));
      default ->
          standard instanceof Double number ? settings.number(key, number) : settings.text(key, "");
    };
  }

  private interface Reading {
    Object read();
  }

  private static Object either(Reading first, Reading second) {
    try {
      return first.read();
    } catch (RecipeException e) {
      return second.read();
    }
  }

  /** One name of the method. */
  private final class Preset implements MethodRecipe {
    private final String name;

    Preset(String name) {
      this.name = name;
    }

    @Override
    public String method() {
      return name;
    }

    @Override
    public List<String> keys() {
      return PresetInterchange.this.keys();
    }

    @Override
    public AdapterMethod read(MethodSettings settings) {
      ComposableMethod standard = presets.get(name);
      if (standard == null) {
        throw new IllegalStateException("no preset " + name);
      }
      return PresetInterchange.this.read(settings, standard);
    }

    @Override
    public boolean describes(AdapterMethod method) {
      return method.name().equals(name) && PresetInterchange.this.describes(method);
    }

    @Override
    public Map<String, @Nullable Object> write(AdapterMethod method) {
      return PresetInterchange.this.write(method);
    }
  }
}

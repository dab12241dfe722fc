package io.peft4j.adapters.peft;

import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.MethodRecipe;
import io.peft4j.adapter.MethodSettings;
import io.peft4j.adapter.RecordSettings;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The half of a method that is a record which stands in recipes: each component is a key. What
 * stands in configurations is left to subclasses.
 *
 * @param <T> the record
 */
public abstract class RecordRecipe<T extends Record & AdapterMethod>
    implements PeftInterchange, MethodRecipe {
  private final String peftType;
  private final T standard;
  private final RecordSettings<T> recipe;

  /**
   * @param peftType the value of {@code peft_type}
   * @param standard the method with the values of what a recipe does not give
   * @param keys keys of a recipe that are not the component's name in snake case, by component
   */
  protected RecordRecipe(String peftType, T standard, Map<String, String> keys) {
    this.peftType = peftType;
    this.standard = standard;
    recipe = new RecordSettings<>(standard, keys);
  }

  @Override
  public String peftType() {
    return peftType;
  }

  @Override
  public String method() {
    return standard.name();
  }

  @Override
  public List<String> keys() {
    return recipe.keys();
  }

  @Override
  public AdapterMethod read(MethodSettings settings) {
    return recipe.read(settings);
  }

  @Override
  public boolean describes(AdapterMethod method) {
    return recipe.describes(method);
  }

  @Override
  public Map<String, @Nullable Object> write(AdapterMethod method) {
    return recipe.write(method);
  }

  @Override
  public boolean writes(AdapterMethod method) {
    return recipe.describes(method);
  }
}

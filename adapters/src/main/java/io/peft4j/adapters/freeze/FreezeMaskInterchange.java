package io.peft4j.adapters.freeze;

import io.peft4j.RecipeException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.MethodRecipe;
import io.peft4j.adapter.MethodSettings;
import io.peft4j.adapters.peft.PeftConfig;
import io.peft4j.adapters.peft.PeftInterchange;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A freeze mask in recipes, and in the files of an adapter folder: {@code peft_type} {@code
 * FREEZE_MASK}, which is ours and which PEFT refuses by name, the selections, and the trained
 * weights whole.
 */
public final class FreezeMaskInterchange implements PeftInterchange, MethodRecipe {
  private static final String SELECTIONS = "selections";
  private static final String GRADUAL = "gradual_unfreezing";

  /** For ServiceLoader. */
  public FreezeMaskInterchange() {}

  @Override
  public String method() {
    return FreezeMask.NAME;
  }

  @Override
  public List<String> keys() {
    return List.of(SELECTIONS, GRADUAL);
  }

  @Override
  public AdapterMethod read(MethodSettings settings) {
    return mask(settings.texts(SELECTIONS), settings.number(GRADUAL, 0));
  }

  private static FreezeMask mask(List<String> selections, double gradual) {
    return new FreezeMask(selections.stream().map(Selection::parse).toList(), gradual);
  }

  @Override
  public boolean describes(AdapterMethod method) {
    return method instanceof FreezeMask;
  }

  @Override
  public Map<String, @Nullable Object> write(AdapterMethod method) {
    return fields(method);
  }

  private static Map<String, @Nullable Object> fields(AdapterMethod method) {
    return Map.of(
        SELECTIONS, selections(method), GRADUAL, ((FreezeMask) method).gradualUnfreezing());
  }

  private static List<String> selections(AdapterMethod method) {
    return ((FreezeMask) method).selections().stream().map(Selection::text).toList();
  }

  @Override
  public String peftType() {
    return "FREEZE_MASK";
  }

  @Override
  public boolean writes(AdapterMethod method) {
    return method instanceof FreezeMask;
  }

  @Override
  public AdapterMethod read(PeftConfig config, String modelType) {
    try {
      return mask(config.texts(SELECTIONS), config.number(GRADUAL, 0));
    } catch (RecipeException e) {
      throw config.wrongValue(e);
    }
  }

  @Override
  public Map<String, @Nullable Object> write(AttachedAdapter adapter) {
    return fields(adapter.method());
  }
}

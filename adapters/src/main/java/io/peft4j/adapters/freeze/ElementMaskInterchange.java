package io.peft4j.adapters.freeze;

import io.peft4j.RecipeException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.RecordSettings;
import io.peft4j.adapters.peft.PeftConfig;
import io.peft4j.adapters.peft.RecordRecipe;
import java.nio.file.Path;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * An element mask in recipes, and in the files of an adapter folder: {@code peft_type} {@code
 * ELEMENT_MASK}, which is ours and which PEFT refuses by name, the settings, and for each weight
 * the places [n] of type int32 in it as a row of all its elements, and the values [n] there.
 */
public final class ElementMaskInterchange extends RecordRecipe<ElementMask> {
  private static final ElementMask STANDARD = ElementMask.share(0.005);

  private final RecordSettings<ElementMask> settings = new RecordSettings<>(STANDARD, Map.of());

  /** For ServiceLoader. */
  public ElementMaskInterchange() {
    super("ELEMENT_MASK", STANDARD, Map.of());
  }

  @Override
  public AdapterMethod read(PeftConfig config, String modelType) {
    try {
      return settings.read(config);
    } catch (RecipeException e) {
      throw config.wrongValue(e);
    }
  }

  @Override
  public Map<String, @Nullable Object> write(AttachedAdapter adapter) {
    return settings.write(adapter.method());
  }

  @Override
  public void check(Path file, AttachedAdapter started, AttachedAdapter read) {
    ElementMask.checkPlaces(file, read);
  }

  /** How many elements of each weight train must be known before they are read. */
  @Override
  public AttachedAdapter storable(AttachedAdapter adapter) {
    return ElementMask.counted(adapter);
  }
}

package io.peft4j.adapters.prompt;

import io.peft4j.RecipeException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.MethodRecipe;
import io.peft4j.adapter.MethodSettings;
import io.peft4j.adapter.RecordSettings;
import io.peft4j.adapters.peft.PeftConfig;
import io.peft4j.adapters.peft.PeftInterchange;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** LLaMA-Adapter in recipes, and as {@code AdaptionPromptConfig} of PEFT says it. */
public final class AdaptionPromptInterchange implements PeftInterchange, MethodRecipe {
  private final RecordSettings<AdaptionPrompt> recipe =
      new RecordSettings<>(AdaptionPrompt.of(10, 1), Map.of());

  /** For ServiceLoader. */
  public AdaptionPromptInterchange() {}

  @Override
  public String method() {
    return AdaptionPrompt.of(1, 1).name();
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
  public String peftType() {
    return "ADAPTION_PROMPT";
  }

  @Override
  public boolean writes(AdapterMethod method) {
    return describes(method);
  }

  @Override
  public AdapterMethod read(PeftConfig config, String modelType) {
    try {
      return new AdaptionPrompt(
          config.whole("adapter_len", 0),
          config.whole("adapter_layers", 0),
          config.text("target_modules", ""));
    } catch (RecipeException e) {
      throw config.wrongValue(e);
    }
  }

  @Override
  public Map<String, @Nullable Object> write(AttachedAdapter adapter) {
    AdaptionPrompt method = (AdaptionPrompt) adapter.method();
    String path = adapter.targets().get(0);
    return Map.of(
        "adapter_len",
        method.adapterLen(),
        "adapter_layers",
        method.adapterLayers(),
        "target_modules",
        path.substring(path.lastIndexOf('.') + 1));
  }
}

package io.peft4j.adapters.prompt;

import io.peft4j.RecipeException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapters.peft.PeftConfig;
import io.peft4j.adapters.peft.RecordRecipe;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** LLaMA-Adapter in recipes, and as {@code AdaptionPromptConfig} of PEFT says it. */
public final class AdaptionPromptInterchange extends RecordRecipe<AdaptionPrompt> {
  /** For ServiceLoader. */
  public AdaptionPromptInterchange() {
    super("ADAPTION_PROMPT", AdaptionPrompt.of(10, 1), Map.of());
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

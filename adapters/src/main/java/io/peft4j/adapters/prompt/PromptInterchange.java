package io.peft4j.adapters.prompt;

import io.peft4j.CheckpointFormatException;
import io.peft4j.RecipeException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.MethodRecipe;
import io.peft4j.adapter.MethodSettings;
import io.peft4j.adapters.peft.PeftConfig;
import io.peft4j.adapters.peft.PeftInterchange;
import io.peft4j.site.AttentionSite;
import io.peft4j.site.Sites;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** What the configurations of PEFT's prompts share. */
abstract class PromptInterchange implements PeftInterchange, MethodRecipe {
  private static final String TOKENS = "num_virtual_tokens";
  private static final String RECIPE_TOKENS = "virtual_tokens";
  private static final String SAVED = "modules_to_save";
  private static final int USUAL = 20;

  abstract AdapterMethod method(int tokens, List<String> saved);

  abstract int tokens(AdapterMethod method);

  abstract List<String> saved(AdapterMethod method);

  /** Adds the fields of one kind of prompt. */
  abstract void addFields(AttachedAdapter adapter, Map<String, @Nullable Object> fields);

  @Override
  public String method() {
    return method(1, List.of()).name();
  }

  @Override
  public List<String> keys() {
    return List.of(RECIPE_TOKENS, SAVED);
  }

  @Override
  public AdapterMethod read(MethodSettings settings) {
    return method(settings.whole(RECIPE_TOKENS, USUAL), settings.texts(SAVED));
  }

  @Override
  public Map<String, @Nullable Object> write(AdapterMethod method) {
    return Map.of(RECIPE_TOKENS, tokens(method), SAVED, saved(method));
  }

  @Override
  public boolean writes(AdapterMethod method) {
    return describes(method);
  }

  @Override
  public AdapterMethod read(PeftConfig config, String modelType) {
    if (config.whole("num_transformer_submodules", 1) != 1) {
      config.refuse("num_transformer_submodules");
    }
    List<String> saved = List.copyOf(new LinkedHashSet<>(config.texts(SAVED)));
    try {
      return method(config.whole(TOKENS, 0), saved);
    } catch (RecipeException e) {
      throw new CheckpointFormatException(config.file() + ": " + e.getMessage(), e);
    }
  }

  @Override
  public Map<String, @Nullable Object> write(AttachedAdapter adapter) {
    Map<String, @Nullable Object> fields = new LinkedHashMap<>();
    Sites sites = Sites.of(adapter.base());
    List<AttentionSite> layers = sites.attentions();
    fields.put(TOKENS, tokens(adapter.method()));
    fields.put("num_transformer_submodules", 1);
    fields.put("num_layers", layers.size());
    fields.put("token_dim", sites.embeddings().get(0).size());
    fields.put(SAVED, saved(adapter.method()).isEmpty() ? null : saved(adapter.method()));
    addFields(adapter, fields);
    return fields;
  }
}

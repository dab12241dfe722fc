package io.peft4j.adapters.prompt;

import io.peft4j.RecipeException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapters.peft.PeftConfig;
import io.peft4j.adapters.peft.RecordRecipe;
import io.peft4j.site.AttentionSite;
import io.peft4j.site.Sites;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What the recipes and the configurations of PEFT's prompts share.
 *
 * @param <T> the prompt
 */
abstract class PromptInterchange<T extends Record & PromptMethod> extends RecordRecipe<T> {
  /** How many virtual tokens a recipe means that does not say. */
  static final int USUAL_TOKENS = 20;

  private static final String TOKENS = "num_virtual_tokens";
  private static final String SAVED = "modules_to_save";

  /**
   * @param peftType the value of {@code peft_type}
   * @param standard the prompt of a recipe that gives only the method
   */
  PromptInterchange(String peftType, T standard) {
    super(peftType, standard, Map.of());
  }

  /** A prompt whose vectors are known: how they started and what made them does not matter. */
  abstract T loaded(int tokens, List<String> saved);

  /**
   * Adds the fields of one kind of prompt.
   *
   * @param size of the model's embeddings
   */
  abstract void addFields(T method, long size, Map<String, @Nullable Object> fields);

  @Override
  public AdapterMethod read(PeftConfig config, String modelType) {
    if (config.whole("num_transformer_submodules", 1) != 1) {
      config.refuse("num_transformer_submodules");
    }
    List<String> saved = List.copyOf(new LinkedHashSet<>(config.texts(SAVED)));
    try {
      return loaded(config.whole(TOKENS, 0), saved);
    } catch (RecipeException e) {
      throw config.wrongValue(e);
    }
  }

  @Override
  public Map<String, @Nullable Object> write(AttachedAdapter adapter) {
    @SuppressWarnings("unchecked") // what writes() takes
    T method = (T) adapter.method();
    Map<String, @Nullable Object> fields = new LinkedHashMap<>();
    Sites sites = Sites.of(adapter.base());
    List<AttentionSite> layers = sites.attentions();
    long size = sites.embeddings().get(0).size();
    fields.put(TOKENS, method.virtualTokens());
    fields.put("num_transformer_submodules", 1);
    fields.put("num_layers", layers.size());
    fields.put("token_dim", size);
    fields.put(SAVED, method.modulesToSave().isEmpty() ? null : method.modulesToSave());
    addFields(method, size, fields);
    return fields;
  }

  /** A network is left out: files hold what it makes. */
  @Override
  public AttachedAdapter storable(AttachedAdapter adapter) {
    PromptMethod method = (PromptMethod) adapter.method();
    return method.hasNetwork() ? MadeVectors.stored(adapter, method.alone()) : adapter;
  }
}

package io.peft4j.adapters.tokens;

import io.peft4j.CheckpointFormatException;
import io.peft4j.RecipeException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.MethodSettings;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.peft.PeftConfig;
import io.peft4j.adapters.peft.RecordInterchange;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Trainable tokens in recipes, and as {@code TrainableTokensConfig} of PEFT says them. */
public final class TrainableTokensInterchange extends RecordInterchange<TrainableTokens> {
  private static final String INDICES = "token_indices";
  private static final TrainableTokens STANDARD =
      new TrainableTokens(Targets.named(List.of("embed_tokens")), List.of(0), List.of());

  /** For ServiceLoader. */
  public TrainableTokensInterchange() {
    super("TRAINABLE_TOKENS", STANDARD, STANDARD, Map.of());
  }

  @Override
  public AdapterMethod read(MethodSettings settings) {
    if (!settings.has(INDICES)) {
      throw new RecipeException(INDICES + " is missing; name the ids of the tokens that train");
    }
    return super.read(settings);
  }

  @Override
  public AdapterMethod read(PeftConfig config, String modelType) {
    if (!config.has(INDICES)) {
      throw new CheckpointFormatException(
          config.file() + " has no " + INDICES + "; save the adapter again");
    }
    return super.read(config, modelType);
  }

  @Override
  protected Map<String, List<String>> usualTargets() {
    return Map.of(
        "bert", List.of("word_embeddings"),
        "gpt2", List.of("wte"),
        "llama", List.of("embed_tokens"),
        "mistral", List.of("embed_tokens"),
        "qwen2", List.of("embed_tokens"),
        "qwen3", List.of("embed_tokens"));
  }

  @Override
  protected Map<String, @Nullable Object> furtherFields() {
    return Map.of("init_weights", true);
  }
}

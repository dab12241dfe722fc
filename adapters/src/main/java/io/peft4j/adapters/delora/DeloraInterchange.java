package io.peft4j.adapters.delora;

import io.peft4j.adapters.peft.RecordInterchange;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** DeLoRA in recipes, and as PEFT's configuration says it. */
public final class DeloraInterchange extends RecordInterchange<Delora> {
  /** For ServiceLoader. */
  public DeloraInterchange() {
    super("DELORA", Delora.rank(8), Delora.rank(8), Map.of("rank", "r", "lambda", "delora_lambda"));
  }

  @Override
  protected Map<String, @Nullable Object> furtherFields() {
    return Map.of("init_weights", true);
  }
}

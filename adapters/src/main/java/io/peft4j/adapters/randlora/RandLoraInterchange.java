package io.peft4j.adapters.randlora;

import io.peft4j.adapters.peft.RecordInterchange;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** RandLoRA in recipes, and as PEFT's configuration says it. */
public final class RandLoraInterchange extends RecordInterchange<RandLora> {
  /** For ServiceLoader. */
  public RandLoraInterchange() {
    super(
        "RANDLORA",
        RandLora.rank(32),
        RandLora.rank(32),
        Map.of("rank", "r", "alpha", "randlora_alpha", "dropout", "randlora_dropout"));
  }

  @Override
  protected Map<String, @Nullable Object> furtherFields() {
    return Map.of(
        "fan_in_fan_out", false, "init_weights", true, "sparse", false, "very_sparse", false);
  }
}

package io.peft4j.adapters.gralora;

import io.peft4j.adapters.peft.RecordInterchange;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** GraLoRA in recipes, and as PEFT's configuration says it. */
public final class GraLoraInterchange extends RecordInterchange<GraLora> {
  /** For ServiceLoader. */
  public GraLoraInterchange() {
    super(
        "GRALORA",
        GraLora.rank(32),
        GraLora.rank(32),
        Map.of(
            "rank",
            "r",
            "dropout",
            "gralora_dropout",
            "blocks",
            "gralora_k",
            "hybridRank",
            "hybrid_r"));
  }

  @Override
  protected Map<String, @Nullable Object> furtherFields() {
    return Map.of("fan_in_fan_out", false, "init_weights", true);
  }
}

package io.peft4j.adapters.tinylora;

import io.peft4j.adapters.peft.RecordInterchange;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** TinyLoRA in recipes, and as PEFT's configuration says it. */
public final class TinyLoraInterchange extends RecordInterchange<TinyLora> {
  /** For ServiceLoader. */
  public TinyLoraInterchange() {
    super(
        "TINYLORA",
        TinyLora.rank(2),
        TinyLora.rank(2),
        Map.of("rank", "r", "vectorLength", "u", "dropout", "tinylora_dropout"));
  }

  @Override
  protected Map<String, @Nullable Object> furtherFields() {
    return Map.of("fan_in_fan_out", false, "init_weights", true);
  }
}

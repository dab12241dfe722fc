package io.peft4j.adapters.vera;

import io.peft4j.adapters.peft.RecordInterchange;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** VeRA in recipes, and as PEFT's configuration says it. */
public final class VeraInterchange extends RecordInterchange<Vera> {
  /** For ServiceLoader. */
  public VeraInterchange() {
    super("VERA", Vera.rank(256), Vera.rank(256), Map.of("rank", "r", "dropout", "vera_dropout"));
  }

  @Override
  protected Map<String, @Nullable Object> furtherFields() {
    return Map.of("fan_in_fan_out", false, "init_weights", true);
  }
}

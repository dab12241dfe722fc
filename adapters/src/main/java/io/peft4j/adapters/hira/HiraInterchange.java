package io.peft4j.adapters.hira;

import io.peft4j.adapters.peft.RecordInterchange;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** HiRA in recipes, and as {@code HiraConfig} of PEFT says it. */
public final class HiraInterchange extends RecordInterchange<Hira> {
  /** For ServiceLoader. */
  public HiraInterchange() {
    super("HIRA", Hira.rank(32), Hira.rank(32), Map.of("rank", "r", "dropout", "hira_dropout"));
  }

  @Override
  protected Map<String, @Nullable Object> furtherFields() {
    return Map.of("fan_in_fan_out", false, "init_weights", true);
  }
}

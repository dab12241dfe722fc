package io.peft4j.adapters.shira;

import io.peft4j.adapters.peft.RecordInterchange;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** SHiRA in recipes, and as PEFT's configuration says it. */
public final class ShiraInterchange extends RecordInterchange<Shira> {
  /** For ServiceLoader. */
  public ShiraInterchange() {
    super("SHIRA", Shira.rank(32), Shira.rank(32), Map.of("rank", "r"));
  }

  @Override
  protected Map<String, @Nullable Object> furtherFields() {
    return Map.of("fan_in_fan_out", false, "init_weights", true, "mask_type", "random");
  }
}

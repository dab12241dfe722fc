package io.peft4j.adapters.lily;

import io.peft4j.adapters.peft.RecordInterchange;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Lily in recipes, and as PEFT's configuration says it. */
public final class LilyInterchange extends RecordInterchange<Lily> {
  /** For ServiceLoader. */
  public LilyInterchange() {
    super(
        "LILY",
        Lily.rank(32),
        Lily.rank(32),
        Map.of("rank", "r", "experts", "num_B", "strideA", "stride_A"));
  }

  @Override
  protected Map<String, @Nullable Object> furtherFields() {
    return Map.of("init_weights", true);
  }
}

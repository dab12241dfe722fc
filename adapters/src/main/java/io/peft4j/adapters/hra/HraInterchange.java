package io.peft4j.adapters.hra;

import io.peft4j.adapters.peft.RecordInterchange;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** HRA in recipes, and as PEFT's configuration says it. */
public final class HraInterchange extends RecordInterchange<Hra> {
  /** For ServiceLoader. */
  public HraInterchange() {
    super("HRA", Hra.rank(8), Hra.rank(8), Map.of("rank", "r", "orthogonal", "apply_GS"));
  }

  @Override
  protected Map<String, @Nullable Object> furtherFields() {
    return Map.of("init_weights", true);
  }
}

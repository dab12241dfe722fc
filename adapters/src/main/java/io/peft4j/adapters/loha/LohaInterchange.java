package io.peft4j.adapters.loha;

import io.peft4j.adapters.peft.RecordInterchange;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** LoHa in recipes, and as PEFT's configuration says it. */
public final class LohaInterchange extends RecordInterchange<Loha> {
  /** For ServiceLoader. */
  public LohaInterchange() {
    super("LOHA", Loha.rank(8), Loha.rank(8), Map.of("rank", "r"));
  }

  @Override
  protected Map<String, @Nullable Object> furtherFields() {
    return Map.of("init_weights", true);
  }
}

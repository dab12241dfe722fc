package io.peft4j.adapters.beft;

import io.peft4j.adapters.peft.RecordInterchange;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** BEFT in recipes, and as PEFT's configuration says it. */
public final class BeftInterchange extends RecordInterchange<Beft> {
  /** For ServiceLoader. */
  public BeftInterchange() {
    super("BEFT", Beft.standard(), Beft.standard(), Map.of());
  }

  @Override
  protected Map<String, @Nullable Object> furtherFields() {
    return Map.of("init_weights", true);
  }
}

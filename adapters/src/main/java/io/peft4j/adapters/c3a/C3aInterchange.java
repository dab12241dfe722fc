package io.peft4j.adapters.c3a;

import io.peft4j.adapters.peft.RecordInterchange;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** C3A in recipes, and as PEFT's configuration says it. */
public final class C3aInterchange extends RecordInterchange<C3a> {
  /** For ServiceLoader. */
  public C3aInterchange() {
    super("C3A", C3a.block(256), C3a.block(256), Map.of());
  }

  @Override
  protected Map<String, @Nullable Object> furtherFields() {
    return Map.of("init_weights", "xavier_uniform");
  }
}

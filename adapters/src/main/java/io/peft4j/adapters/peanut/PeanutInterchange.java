package io.peft4j.adapters.peanut;

import io.peft4j.adapters.peft.RecordInterchange;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** PEANuT in recipes, and as PEFT's configuration says it. */
public final class PeanutInterchange extends RecordInterchange<Peanut> {
  /** For ServiceLoader. */
  public PeanutInterchange() {
    super("PEANUT", Peanut.rank(32), Peanut.rank(32), Map.of("rank", "r", "activation", "act_fn"));
  }

  @Override
  protected Map<String, @Nullable Object> furtherFields() {
    return Map.of("init_weights", true);
  }
}

package io.peft4j.adapters.deft;

import io.peft4j.adapters.peft.RecordInterchange;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** DEFT in recipes, and as PEFT's configuration says it. */
public final class DeftInterchange extends RecordInterchange<Deft> {
  /** For ServiceLoader. */
  public DeftInterchange() {
    super(
        "DEFT",
        Deft.rank(8),
        Deft.rank(8),
        Map.of(
            "rank",
            "r",
            "dropout",
            "deft_dropout",
            "decomposition",
            "decomposition_method",
            "removalOnly",
            "para"));
  }

  @Override
  protected Map<String, @Nullable Object> furtherFields() {
    return Map.of("fan_in_fan_out", false, "init_weights", true, "init_scale", 1.0, "alpha", 0);
  }

  @Override
  protected List<String> unsupported() {
    return List.of("alpha");
  }
}

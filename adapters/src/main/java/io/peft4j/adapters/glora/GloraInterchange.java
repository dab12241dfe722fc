package io.peft4j.adapters.glora;

import io.peft4j.adapters.peft.RecordInterchange;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** GLoRA in recipes, and as PEFT's configuration says it. */
public final class GloraInterchange extends RecordInterchange<Glora> {
  /** For ServiceLoader. */
  public GloraInterchange() {
    super(
        "GLORA",
        Glora.rank(8),
        Glora.rank(8),
        Map.of(
            "rank",
            "r",
            "weightPath",
            "config_A_B",
            "biasFromWeightPath",
            "config_C",
            "biasPath",
            "config_D_E"));
  }

  @Override
  protected Map<String, @Nullable Object> furtherFields() {
    return Map.of("init_weights", true);
  }
}

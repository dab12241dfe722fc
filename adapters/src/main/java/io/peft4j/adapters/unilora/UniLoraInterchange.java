package io.peft4j.adapters.unilora;

import io.peft4j.adapters.peft.RecordInterchange;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Uni-LoRA in recipes, and as PEFT's configuration says it. */
public final class UniLoraInterchange extends RecordInterchange<UniLora> {
  /** For ServiceLoader. */
  public UniLoraInterchange() {
    super(
        "UNILORA",
        UniLora.rank(4),
        UniLora.rank(4),
        Map.of(
            "rank",
            "r",
            "dropout",
            "unilora_dropout",
            "vectorLength",
            "theta_d_length",
            "seed",
            "proj_seed"));
  }

  @Override
  protected Map<String, @Nullable Object> furtherFields() {
    return Map.of("fan_in_fan_out", false, "init_weights", true, "save_indices", false);
  }

  @Override
  protected List<String> unsupported() {
    return List.of("save_indices");
  }
}

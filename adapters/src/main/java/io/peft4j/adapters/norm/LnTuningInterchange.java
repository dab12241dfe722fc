package io.peft4j.adapters.norm;

import io.peft4j.adapters.peft.RecordInterchange;
import java.util.List;
import java.util.Map;

/** LN tuning in recipes, and as PEFT's configuration says it. */
public final class LnTuningInterchange extends RecordInterchange<LnTuning> {
  /** For ServiceLoader. */
  public LnTuningInterchange() {
    super("LN_TUNING", LnTuning.standard(), LnTuning.standard(), Map.of());
  }

  @Override
  protected Map<String, List<String>> usualTargets() {
    return Map.of(
        "llama", List.of("input_layernorm", "post_attention_layernorm", "norm"),
        "bert", List.of("LayerNorm"));
  }
}

package io.peft4j.adapters.supertuning;

import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapters.peft.RecordInterchange;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Super-Tuning in recipes, and as PEFT's configuration says it. */
public final class SupertuningInterchange extends RecordInterchange<Supertuning> {
  /** For ServiceLoader. */
  public SupertuningInterchange() {
    super(
        "SUPERTUNING",
        Supertuning.sparsity(0.99),
        Supertuning.sparsity(0.99),
        Map.of("rank", "r", "alpha", "lora_alpha", "dropout", "lora_dropout"));
  }

  @Override
  protected Map<String, @Nullable Object> furtherFields() {
    return Map.of("init_weights", true, "save_precomputed_indices", true);
  }

  /** PEFT's configuration has no rank where there is no LoRA. */
  @Override
  public Map<String, @Nullable Object> write(AttachedAdapter adapter) {
    Map<String, @Nullable Object> fields = super.write(adapter);
    if (((Supertuning) adapter.method()).rank() == 0) {
      fields.put("r", null);
      fields.put("lora_alpha", null);
    }
    return fields;
  }
}

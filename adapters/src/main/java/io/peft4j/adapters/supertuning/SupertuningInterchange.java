package io.peft4j.adapters.supertuning;

import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapters.peft.RecordInterchange;
import io.peft4j.adapters.peft.StoredTensors;
import io.peft4j.site.LinearSite;
import io.peft4j.site.Sites;
import java.nio.file.Path;
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
  public void check(Path file, AttachedAdapter started, AttachedAdapter read) {
    for (AdapterTensor tensor : read.tensors()) {
      if (tensor.parameter().equals("supertuning_indices")) {
        LinearSite layer = Sites.of(read.base()).linear(tensor.module()).orElseThrow();
        long[] places = read.graph().initializer(tensor.initializer()).toLongs();
        StoredTensors.requireWithin(file, tensor, places, layer.outFeatures() * layer.inFeatures());
      }
    }
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

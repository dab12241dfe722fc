package io.peft4j.adapters.vblora;

import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapters.peft.RecordInterchange;
import io.peft4j.adapters.peft.StoredTensors;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** VB-LoRA in recipes, and as PEFT's configuration says it. */
public final class VbLoraInterchange extends RecordInterchange<VbLora> {
  /** For ServiceLoader. */
  public VbLoraInterchange() {
    super(
        "VBLORA", VbLora.rank(4), VbLora.rank(4), Map.of("rank", "r", "dropout", "vblora_dropout"));
  }

  /** Only a file can hold an adapter whose logits are gone. */
  @Override
  public List<String> keys() {
    return super.keys().stream().filter(key -> !key.equals("save_only_topk_weights")).toList();
  }

  @Override
  public Map<String, @Nullable Object> write(AdapterMethod method) {
    Map<String, @Nullable Object> settings = new LinkedHashMap<>(super.write(method));
    settings.keySet().retainAll(keys());
    return settings;
  }

  @Override
  public void check(Path file, AttachedAdapter started, AttachedAdapter read) {
    for (AdapterTensor tensor : read.tensors()) {
      if (tensor.parameter().endsWith("_topk_indices")) {
        long[] chosen = read.graph().initializer(tensor.initializer()).toLongs();
        int vectors = ((VbLora) read.method()).numVectors();
        StoredTensors.requireWithin(file, tensor, chosen, vectors);
      }
    }
  }

  @Override
  protected Map<String, @Nullable Object> furtherFields() {
    return Map.of("fan_in_fan_out", false);
  }
}

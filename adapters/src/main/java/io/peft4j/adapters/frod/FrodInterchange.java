package io.peft4j.adapters.frod;

import io.peft4j.UnsupportedModelException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapters.peft.PeftConfig;
import io.peft4j.adapters.peft.RecordInterchange;
import io.peft4j.adapters.peft.StoredTensors;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** FRoD in recipes, and as {@code FrodConfig} of PEFT says it, its basis in the file. */
public final class FrodInterchange extends RecordInterchange<Frod> {
  /** For ServiceLoader. */
  public FrodInterchange() {
    super("FROD", Frod.standard(), Frod.standard(), Map.of("dropout", "frod_dropout"));
  }

  @Override
  protected Map<String, @Nullable Object> furtherFields() {
    return Map.of(
        "fan_in_fan_out",
        false,
        "init_weights",
        true,
        "save_projection",
        true,
        "projection_prng_key",
        0,
        "progressbar",
        true,
        "runtime_offload_base_weight",
        false);
  }

  @Override
  public AdapterMethod read(PeftConfig config, String modelType) {
    if (!config.flag("save_projection", true)) {
      throw new UnsupportedModelException(
          "%s: save_projection is false, so the basis is not in the file, and its signs depend on the library that made it; save the adapter with save_projection=True"
              .formatted(config.file()));
    }
    return super.read(config, modelType);
  }

  @Override
  public void check(Path file, AttachedAdapter started, AttachedAdapter read) {
    Map<String, Long> sizes = new HashMap<>();
    for (AdapterTensor tensor : read.tensors()) {
      if (tensor.parameter().startsWith("frod_V.")) {
        String kind = tensor.parameter().substring("frod_V.".length());
        sizes.put(kind, read.graph().initializer(tensor.initializer()).dim(0));
      }
    }
    for (AdapterTensor tensor : read.tensors()) {
      if (tensor.parameter().startsWith("frod_s_indices.")) {
        String kind = tensor.parameter().substring("frod_s_indices.".length());
        long[] places = read.graph().initializer(tensor.initializer()).toLongs();
        StoredTensors.requireWithin(file, tensor, places, sizes.getOrDefault(kind, 0L));
      }
    }
  }
}

package io.peft4j.adapters.frod;

import io.peft4j.UnsupportedModelException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapters.peft.PeftConfig;
import io.peft4j.adapters.peft.RecordInterchange;
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
}

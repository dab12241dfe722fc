package io.peft4j.adapters.pvera;

import io.peft4j.adapters.peft.RecordInterchange;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** PVeRA in recipes, and as PEFT's configuration says it. */
public final class PveraInterchange extends RecordInterchange<Pvera> {
  /** For ServiceLoader. */
  public PveraInterchange() {
    super(
        "PVERA", Pvera.rank(256), Pvera.rank(256), Map.of("rank", "r", "dropout", "pvera_dropout"));
  }

  @Override
  protected Map<String, @Nullable Object> furtherFields() {
    return Map.of(
        "fan_in_fan_out",
        false,
        "init_weights",
        true,
        "generator_seed",
        0,
        "sample_at_inference",
        false);
  }

  @Override
  protected List<String> unsupported() {
    return List.of("sample_at_inference");
  }
}

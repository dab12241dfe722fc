package io.peft4j.adapters.waveft;

import io.peft4j.adapters.peft.RecordInterchange;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** WaveFT in recipes, and as PEFT's configuration says it. */
public final class WaveFtInterchange extends RecordInterchange<WaveFt> {
  /** For ServiceLoader. */
  public WaveFtInterchange() {
    super(
        "WAVEFT",
        WaveFt.frequencies(2592),
        WaveFt.frequencies(2592),
        Map.of("frequencies", "n_frequency", "frequencyPattern", "n_frequency_pattern"));
  }

  @Override
  protected Map<String, @Nullable Object> furtherFields() {
    return Map.of("fan_in_fan_out", false, "init_weights", true, "proportional_parameters", false);
  }

  @Override
  protected List<String> unsupported() {
    return List.of("proportional_parameters");
  }
}

package io.peft4j.adapters.fourierft;

import io.peft4j.adapters.peft.RecordInterchange;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** FourierFT in recipes, and as PEFT's configuration says it. */
public final class FourierFtInterchange extends RecordInterchange<FourierFt> {
  /** For ServiceLoader. */
  public FourierFtInterchange() {
    super(
        "FOURIERFT",
        FourierFt.frequencies(1000),
        FourierFt.frequencies(1000),
        Map.of("frequencies", "n_frequency", "frequencyPattern", "n_frequency_pattern"));
  }

  @Override
  protected Map<String, @Nullable Object> furtherFields() {
    return Map.of("fan_in_fan_out", false, "init_weights", false);
  }
}

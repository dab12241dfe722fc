package io.peft4j.adapters.boft;

import io.peft4j.adapters.peft.RecordInterchange;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** BOFT in recipes, and as PEFT's configuration says it. */
public final class BoftInterchange extends RecordInterchange<Boft> {
  /** For ServiceLoader. */
  public BoftInterchange() {
    super(
        "BOFT",
        Boft.block(4),
        Boft.block(4),
        Map.of(
            "blockSize", "boft_block_size", "blocks", "boft_block_num", "dropout", "boft_dropout"));
  }

  @Override
  protected Map<String, @Nullable Object> furtherFields() {
    return Map.of("fan_in_fan_out", false, "init_weights", true, "boft_n_butterfly_factor", 1);
  }
}

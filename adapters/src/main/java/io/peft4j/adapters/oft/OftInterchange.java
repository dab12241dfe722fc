package io.peft4j.adapters.oft;

import io.peft4j.adapters.peft.RecordInterchange;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** OFT in recipes, and as PEFT's configuration says it. */
public final class OftInterchange extends RecordInterchange<Oft> {
  /** For ServiceLoader. */
  public OftInterchange() {
    super(
        "OFT", Oft.block(32), Oft.block(32), Map.of("blockSize", "oft_block_size", "blocks", "r"));
  }

  @Override
  protected Map<String, @Nullable Object> furtherFields() {
    return Map.of("fan_in_fan_out", false, "init_weights", true);
  }
}

package io.peft4j.adapters.lokr;

import io.peft4j.adapters.peft.RecordInterchange;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** LoKr in recipes, and as PEFT's configuration says it. */
public final class LokrInterchange extends RecordInterchange<Lokr> {
  /** For ServiceLoader. */
  public LokrInterchange() {
    super("LOKR", Lokr.rank(8), Lokr.rank(8), Map.of("rank", "r"));
  }

  @Override
  protected Map<String, @Nullable Object> furtherFields() {
    return Map.of("init_weights", true, "rank_dropout_scale", false);
  }

  @Override
  protected List<String> unsupported() {
    return List.of("rank_dropout_scale");
  }
}

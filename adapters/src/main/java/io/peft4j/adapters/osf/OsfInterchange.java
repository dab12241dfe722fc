package io.peft4j.adapters.osf;

import io.peft4j.adapters.peft.RecordInterchange;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** OSF in recipes, and as PEFT's configuration says it. */
public final class OsfInterchange extends RecordInterchange<Osf> {
  /** For ServiceLoader. */
  public OsfInterchange() {
    super("OSF", Osf.standard(), Osf.standard(), Map.of("rank", "effective_rank"));
  }

  @Override
  protected Map<String, @Nullable Object> furtherFields() {
    return Map.of("init_weights", true, "rank_pattern", Map.of(), "target_svd_config", Map.of());
  }

  @Override
  protected List<String> unsupported() {
    return List.of("rank_pattern", "target_svd_config");
  }
}

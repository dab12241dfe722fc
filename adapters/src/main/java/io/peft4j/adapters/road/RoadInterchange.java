package io.peft4j.adapters.road;

import io.peft4j.adapters.peft.RecordInterchange;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** RoAD in recipes, and as PEFT's configuration says it. */
public final class RoadInterchange extends RecordInterchange<Road> {
  /** For ServiceLoader. */
  public RoadInterchange() {
    super("ROAD", Road.group(64), Road.group(64), Map.of());
  }

  @Override
  protected Map<String, @Nullable Object> furtherFields() {
    return Map.of("init_weights", true);
  }
}

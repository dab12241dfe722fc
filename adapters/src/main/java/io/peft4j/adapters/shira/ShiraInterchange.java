package io.peft4j.adapters.shira;

import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapters.peft.RecordInterchange;
import io.peft4j.adapters.peft.StoredTensors;
import io.peft4j.site.LinearSite;
import io.peft4j.site.Sites;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** SHiRA in recipes, and as PEFT's configuration says it. */
public final class ShiraInterchange extends RecordInterchange<Shira> {
  /** For ServiceLoader. */
  public ShiraInterchange() {
    super("SHIRA", Shira.rank(32), Shira.rank(32), Map.of("rank", "r"));
  }

  @Override
  public void check(Path file, AttachedAdapter started, AttachedAdapter read) {
    for (AdapterTensor tensor : read.tensors()) {
      if (!tensor.parameter().equals("shira_indices")) {
        continue;
      }
      LinearSite layer = Sites.of(read.base()).linear(tensor.module()).orElseThrow();
      long[] places = read.graph().initializer(tensor.initializer()).toLongs();
      int count = places.length / 2;
      long[] rows = Arrays.copyOf(places, count);
      long[] columns = Arrays.copyOfRange(places, count, places.length);
      StoredTensors.requireWithin(file, tensor, rows, layer.outFeatures());
      StoredTensors.requireWithin(file, tensor, columns, layer.inFeatures());
    }
  }

  @Override
  protected Map<String, @Nullable Object> furtherFields() {
    return Map.of("fan_in_fan_out", false, "init_weights", true, "mask_type", "random");
  }
}

package io.peft4j.adapters.ia3;

import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.peft.RecordInterchange;
import io.peft4j.site.LinearSite;
import io.peft4j.site.Sites;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** (IA)³ in recipes, and as PEFT's configuration says it. */
public final class Ia3Interchange extends RecordInterchange<Ia3> {
  private static final String FEED_FORWARD = "feedforward_modules";

  private static final Map<String, List<String>> USUAL =
      Map.of(
          "bert", List.of("key", "value", "output.dense"),
          "roberta", List.of("key", "value", "output.dense"),
          "gpt2", List.of("c_attn", "mlp.c_proj"),
          "llama", List.of("k_proj", "v_proj", "down_proj"),
          "mistral", List.of("k_proj", "v_proj", "down_proj"),
          "qwen2", List.of("k_proj", "v_proj", "down_proj"),
          "t5", List.of("k", "v", "wo"));

  /** For ServiceLoader. */
  public Ia3Interchange() {
    super("IA3", Ia3.standard(), Ia3.standard(), Map.of());
  }

  @Override
  protected Map<String, List<String>> usualTargets() {
    return USUAL;
  }

  @Override
  protected Map<String, @Nullable Object> furtherFields() {
    return Map.of("fan_in_fan_out", false, "init_ia3_weights", true);
  }

  @Override
  public Map<String, @Nullable Object> write(AttachedAdapter adapter) {
    Map<String, @Nullable Object> fields = super.write(adapter);
    Targets inputs = ((Ia3) adapter.method()).feedforwardModules();
    if (inputs.equals(Targets.none())) {
      fields.put(FEED_FORWARD, List.of());
    } else if (inputs instanceof Targets.ByRole) {
      fields.put(
          FEED_FORWARD,
          Sites.of(adapter.base()).linears().stream()
              .filter(inputs::includes)
              .map(LinearSite::path)
              .filter(adapter.targets()::contains)
              .toList());
    }
    return fields;
  }
}

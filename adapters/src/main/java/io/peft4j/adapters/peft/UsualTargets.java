package io.peft4j.adapters.peft;

import io.peft4j.CheckpointFormatException;
import io.peft4j.adapter.Targets;
import java.util.List;
import java.util.Map;

/** The targets that PEFT takes where a configuration names none, by model type. */
public final class UsualTargets {
  /** Queries and values, as for LoRA and most methods. */
  public static final Map<String, List<String>> QUERY_VALUE =
      Map.ofEntries(
          Map.entry("bert", List.of("query", "value")),
          Map.entry("roberta", List.of("query", "value")),
          Map.entry("electra", List.of("query", "value")),
          Map.entry("deberta-v2", List.of("query_proj", "value_proj")),
          Map.entry("gpt2", List.of("c_attn")),
          Map.entry("llama", List.of("q_proj", "v_proj")),
          Map.entry("mistral", List.of("q_proj", "v_proj")),
          Map.entry("qwen2", List.of("q_proj", "v_proj")),
          Map.entry("gemma", List.of("q_proj", "v_proj")),
          Map.entry("opt", List.of("q_proj", "v_proj")),
          Map.entry("t5", List.of("q", "v")),
          Map.entry("gpt_neox", List.of("query_key_value")));

  private UsualTargets() {}

  /**
   * The modules that a configuration means, with its exclusions and layers.
   *
   * @param usual for models whose configuration names none
   * @throws CheckpointFormatException if none are named and none are usual
   */
  public static Targets of(PeftConfig config, String modelType, Map<String, List<String>> usual) {
    return Targets.restricted(
        named(config, modelType, usual),
        config.targets("exclude_modules"),
        config.texts("modules_to_save"),
        config.wholes("layers_to_transform"),
        config.texts("layers_pattern"));
  }

  private static Targets named(
      PeftConfig config, String modelType, Map<String, List<String>> usual) {
    Targets given = config.targets("target_modules");
    if (given != null) {
      return given;
    }
    List<String> names = usual.get(modelType);
    if (names == null) {
      throw new CheckpointFormatException(
          "%s names no target_modules, and there are no usual ones for a model of type '%s'; add them"
              .formatted(config.file(), modelType));
    }
    return Targets.named(names);
  }
}

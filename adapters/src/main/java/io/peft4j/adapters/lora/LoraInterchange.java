package io.peft4j.adapters.lora;

import io.peft4j.CheckpointFormatException;
import io.peft4j.UnsupportedModelException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.peft.PeftConfig;
import io.peft4j.adapters.peft.PeftInterchange;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** LoRA as {@code LoraConfig} of PEFT says it. */
public final class LoraInterchange implements PeftInterchange {
  /** The targets that PEFT takes where a configuration names none. */
  private static final Map<String, List<String>> DEFAULT_TARGETS =
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

  /** Fields that change what the adapter computes and are not supported. */
  private static final List<String> UNSUPPORTED =
      List.of(
          "use_dora",
          "lora_bias",
          "use_qalora",
          "use_bdlora",
          "trainable_token_indices",
          "target_parameters",
          "layer_replication",
          "alora_invocation_tokens",
          "kasa_config",
          "velora_config",
          "monteclora_config",
          "arrow_config",
          "loftq_config",
          "megatron_config");

  /** Ways to start that change the base model's weights. */
  private static final List<String> RESIDUAL_STARTS =
      List.of("pissa", "olora", "corda", "lora_ga", "loftq");

  /** For ServiceLoader. */
  public LoraInterchange() {}

  @Override
  public String peftType() {
    return "LORA";
  }

  @Override
  public boolean writes(AdapterMethod method) {
    return method instanceof Lora;
  }

  @Override
  public AdapterMethod read(PeftConfig config, String modelType) {
    UNSUPPORTED.forEach(config::refuse);
    config.refuse("bias", "none");
    refuseResidualStart(config);
    List<String> saved = config.texts("modules_to_save");
    Targets targets =
        Targets.restricted(
            targets(config, modelType),
            config.targets("exclude_modules"),
            saved,
            config.wholes("layers_to_transform"),
            config.texts("layers_pattern"));
    return new Lora(
        config.whole("r", 8),
        config.number("lora_alpha", 8),
        config.number("lora_dropout", 0),
        config.flag("use_rslora", false),
        targets,
        config.wholeNumbers("rank_pattern"),
        config.numbers("alpha_pattern"),
        saved);
  }

  private static Targets targets(PeftConfig config, String modelType) {
    Targets given = config.targets("target_modules");
    if (given != null) {
      return given;
    }
    List<String> usual = DEFAULT_TARGETS.get(modelType);
    if (usual == null) {
      throw new CheckpointFormatException(
          "%s names no target_modules, and there are no usual ones for a model of type '%s'; add them"
              .formatted(config.file(), modelType));
    }
    return Targets.named(usual);
  }

  private static void refuseResidualStart(PeftConfig config) {
    String start = config.textOrEmpty("init_lora_weights");
    if (RESIDUAL_STARTS.stream().anyMatch(start::startsWith)) {
      throw new UnsupportedModelException(
          "%s: init_lora_weights is '%s', so the adapter belongs on changed base weights; save it with PEFT's path_initial_model_for_weight_conversion, which makes it plain LoRA"
              .formatted(config.file(), start));
    }
  }

  @Override
  public Map<String, @Nullable Object> write(AttachedAdapter adapter) {
    Lora lora = (Lora) adapter.method();
    Map<String, @Nullable Object> fields = new LinkedHashMap<>();
    fields.put("r", lora.rank());
    fields.put("lora_alpha", lora.alpha());
    fields.put("lora_dropout", lora.dropout());
    fields.put("use_rslora", lora.rankStabilized());
    fields.put("use_dora", false);
    fields.put("lora_bias", false);
    fields.put("bias", "none");
    fields.put("fan_in_fan_out", false);
    fields.put("init_lora_weights", true);
    fields.put("exclude_modules", null);
    fields.put("layers_to_transform", null);
    fields.put("layers_pattern", null);
    fields.put("target_modules", targetModules(lora, adapter));
    fields.put("modules_to_save", lora.modulesToSave().isEmpty() ? null : lora.modulesToSave());
    fields.put("rank_pattern", lora.rankPattern());
    fields.put("alpha_pattern", lora.alphaPattern());
    return fields;
  }

  private static Object targetModules(Lora lora, AttachedAdapter adapter) {
    if (lora.targets() instanceof Targets.ByExpression expression) {
      return expression.expression();
    }
    return lora.targets() instanceof Targets.ByName byName ? byName.names() : adapter.targets();
  }
}

package io.peft4j.adapters.lora;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.peft4j.CheckpointFormatException;
import io.peft4j.UnsupportedModelException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.peft.PeftConfig;
import io.peft4j.adapters.peft.PeftInterchange;
import java.util.List;
import java.util.Map;

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
        config.numbers("rank_pattern", JsonNode::intValue),
        config.numbers("alpha_pattern", JsonNode::doubleValue),
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
    JsonNode start = config.raw("init_lora_weights");
    if (start != null && start.isTextual()) {
      for (String kind : RESIDUAL_STARTS) {
        if (start.textValue().startsWith(kind)) {
          throw new UnsupportedModelException(
              "%s: init_lora_weights is '%s', so the adapter belongs on changed base weights; save it with PEFT's path_initial_model_for_weight_conversion, which makes it plain LoRA"
                  .formatted(config.file(), start.textValue()));
        }
      }
    }
  }

  @Override
  public void write(AttachedAdapter adapter, ObjectNode config) {
    Lora lora = (Lora) adapter.method();
    config.put("r", lora.rank());
    putNumber(config, "lora_alpha", lora.alpha());
    config.put("lora_dropout", lora.dropout());
    config.put("use_rslora", lora.rankStabilized());
    config.put("use_dora", false);
    config.put("lora_bias", false);
    config.put("bias", "none");
    config.put("fan_in_fan_out", false);
    config.put("init_lora_weights", true);
    for (String absent : List.of("exclude_modules", "layers_to_transform", "layers_pattern")) {
      config.putNull(absent);
    }
    if (lora.targets() instanceof Targets.ByExpression expression) {
      config.put("target_modules", expression.expression());
    } else {
      ArrayNode names = config.putArray("target_modules");
      (lora.targets() instanceof Targets.ByName byName ? byName.names() : adapter.targets())
          .forEach(names::add);
    }
    if (lora.modulesToSave().isEmpty()) {
      config.putNull("modules_to_save");
    } else {
      lora.modulesToSave().forEach(config.putArray("modules_to_save")::add);
    }
    ObjectNode ranks = config.putObject("rank_pattern");
    lora.rankPattern().forEach(ranks::put);
    ObjectNode alphas = config.putObject("alpha_pattern");
    lora.alphaPattern().forEach((module, alpha) -> putNumber(alphas, module, alpha));
  }

  /** Whole numbers are written as such, as PEFT does. */
  private static void putNumber(ObjectNode object, String key, double value) {
    if (value == Math.rint(value) && Math.abs(value) < 1e9) {
      object.put(key, (long) value);
    } else {
      object.put(key, value);
    }
  }
}

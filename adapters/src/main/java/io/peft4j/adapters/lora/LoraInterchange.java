package io.peft4j.adapters.lora;

import io.peft4j.CheckpointFormatException;
import io.peft4j.RecipeException;
import io.peft4j.UnsupportedModelException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.MethodSettings;
import io.peft4j.adapter.RecordSettings;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.peft.PeftConfig;
import io.peft4j.adapters.peft.RecordRecipe;
import io.peft4j.adapters.peft.UsualTargets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** LoRA in recipes, and as {@code LoraConfig} of PEFT says it. */
public final class LoraInterchange extends RecordRecipe<Lora> {
  private final RecordSettings<Lora> configuration =
      new RecordSettings<>(
          Lora.rank(8),
          Map.of(
              "rank", "r",
              "alpha", "lora_alpha",
              "dropout", "lora_dropout",
              "rankStabilized", "use_rslora",
              "targets", "target_modules",
              "dora", "use_dora",
              "init", "init_lora_weights"));

  /** Fields that change what the adapter computes and are not supported. */
  private static final List<String> UNSUPPORTED =
      List.of(
          "use_qalora",
          "use_bdlora",
          "target_parameters",
          "layer_replication",
          "alora_invocation_tokens",
          "kasa_config",
          "velora_config",
          "monteclora_config",
          "arrow_config",
          "loftq_config",
          "megatron_config",
          "ensure_weight_tying");

  /** Ways to start that change the base model's weights as only the first training knows. */
  private static final List<String> LOST_STARTS =
      List.of("pissa_niter", "corda", "lora_ga", "loftq");

  /** For ServiceLoader. */
  public LoraInterchange() {
    super("LORA", Lora.rank(8), Map.of("rankStabilized", "rslora"));
  }

  @Override
  public AdapterMethod read(MethodSettings settings) {
    Lora lora = (Lora) super.read(settings);
    return settings.has("alpha") ? lora : lora.alpha(2.0 * lora.rank());
  }

  @Override
  public AdapterMethod read(PeftConfig config, String modelType) {
    UNSUPPORTED.forEach(config::refuse);
    try {
      return new Lora(
          config.whole("r", 8),
          config.number("lora_alpha", 8),
          config.number("lora_dropout", 0),
          config.flag("use_rslora", false),
          UsualTargets.of(config, modelType, UsualTargets.QUERY_VALUE),
          config.wholeNumbers("rank_pattern"),
          config.numbers("alpha_pattern"),
          config.texts("modules_to_save"),
          config.flag("use_dora", false),
          config.flag("lora_bias", false),
          bias(config),
          start(config),
          config.wholes("trainable_token_indices"),
          1,
          RankAllocation.UNIFORM);
    } catch (RecipeException e) {
      throw config.wrongValue(configuration.named(e));
    }
  }

  private static BiasTraining bias(PeftConfig config) {
    String bias = config.text("bias", "none");
    return switch (bias) {
      case "none" -> BiasTraining.NONE;
      case "all" -> BiasTraining.ALL;
      case "lora_only" -> BiasTraining.LORA_ONLY;
      default ->
          throw new CheckpointFormatException(
              "%s: field 'bias' must be none, all or lora_only, was '%s'"
                  .formatted(config.file(), bias));
    };
  }

  /**
   * How the adapter's base started, where that is still to be known. EVA is not: data have decided
   * about the stored tensors, and must not do so again if they are trained on. Nor is MiCA.
   */
  private static LoraStart start(PeftConfig config) {
    String start = config.textOrEmpty("init_lora_weights").toLowerCase(Locale.ROOT);
    if (LOST_STARTS.stream().anyMatch(start::startsWith)) {
      throw new UnsupportedModelException(
          "%s: init_lora_weights is '%s', so the adapter belongs on changed base weights; save it with PEFT's path_initial_model_for_weight_conversion, which makes it plain LoRA"
              .formatted(config.file(), start));
    }
    return switch (start) {
      case "gaussian" -> LoraStart.GAUSSIAN;
      case "orthogonal" -> LoraStart.ORTHOGONAL;
      case "pissa" -> LoraStart.PISSA;
      case "olora" -> LoraStart.OLORA;
      case "", "eva", "mica" -> LoraStart.DEFAULT;
      default ->
          throw new UnsupportedModelException(
              "%s: init_lora_weights is '%s', which is not known, so that its base weights may be changed ones; merge the adapter with PEFT, or train one without it"
                  .formatted(config.file(), start));
    };
  }

  @Override
  public Map<String, @Nullable Object> write(AttachedAdapter adapter) {
    Lora lora = (Lora) adapter.method();
    Map<String, @Nullable Object> fields = new LinkedHashMap<>();
    fields.put("r", lora.rank());
    fields.put("lora_alpha", lora.alpha());
    fields.put("lora_dropout", lora.dropout());
    fields.put("use_rslora", lora.rankStabilized());
    fields.put("use_dora", lora.dora());
    fields.put("lora_bias", lora.loraBias());
    fields.put("bias", lora.bias().name().toLowerCase(Locale.ROOT));
    fields.put("fan_in_fan_out", false);
    fields.put("init_lora_weights", lora.init() == LoraStart.DEFAULT ? true : lora.init().label());
    fields.put(
        "trainable_token_indices",
        lora.trainableTokenIndices().isEmpty() ? null : lora.trainableTokenIndices());
    fields.put("exclude_modules", null);
    fields.put("layers_to_transform", null);
    fields.put("layers_pattern", null);
    fields.put("target_modules", targetModules(lora, adapter));
    fields.put("modules_to_save", lora.modulesToSave().isEmpty() ? null : lora.modulesToSave());
    fields.put("rank_pattern", lora.rankPattern());
    fields.put("alpha_pattern", lora.alphaPattern());
    return fields;
  }

  /** A start that the base weight does not tell is written as what it comes to. */
  @Override
  public AttachedAdapter storable(AttachedAdapter adapter) {
    boolean told = ((Lora) adapter.method()).init() != LoraStart.LORA_GA;
    return told ? adapter : PlainLora.of(adapter);
  }

  private static Object targetModules(Lora lora, AttachedAdapter adapter) {
    if (lora.targets() instanceof Targets.ByExpression expression) {
      return expression.expression();
    }
    return lora.targets() instanceof Targets.ByName byName ? byName.names() : adapter.targets();
  }
}

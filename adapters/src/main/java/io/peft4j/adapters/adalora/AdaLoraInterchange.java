package io.peft4j.adapters.adalora;

import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapters.peft.PeftConfig;
import io.peft4j.adapters.peft.RecordInterchange;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * AdaLoRA in recipes, and as {@code AdaLoraConfig} of PEFT says it. Its files hold ranks that have
 * been cut, and say which triplets of the initial ones are left; how many these are is all that
 * matters.
 */
public final class AdaLoraInterchange extends RecordInterchange<AdaLora> {
  private static final String RANK_PATTERN = "rank_pattern";

  /** A key of the pattern: path of a module, tensor, and in some files name of the adapter. */
  private static final Pattern KEY = Pattern.compile("(.+)\\.lora_E(\\.[^.]+)?");

  /** For ServiceLoader. */
  public AdaLoraInterchange() {
    super(
        "ADALORA",
        AdaLora.rank(8),
        AdaLora.ofPeft(),
        Map.of("alpha", "lora_alpha", "dropout", "lora_dropout", "deltaT", "deltaT"));
  }

  @Override
  protected List<String> unsupported() {
    return List.of(
        "use_dora",
        "use_qalora",
        "use_bdlora",
        "lora_bias",
        "alpha_pattern",
        "target_parameters",
        "trainable_token_indices",
        "layer_replication",
        "alora_invocation_tokens",
        "kasa_config",
        "velora_config",
        "monteclora_config",
        "arrow_config",
        "loftq_config",
        "megatron_config");
  }

  @Override
  protected Map<String, @Nullable Object> furtherFields() {
    return Map.of("fan_in_fan_out", false, "init_lora_weights", true);
  }

  @Override
  public AdapterMethod read(PeftConfig config, String modelType) {
    Map<String, Integer> ranks = new LinkedHashMap<>();
    config
        .flagLists(RANK_PATTERN)
        .forEach(
            (key, flags) -> {
              Matcher matcher = KEY.matcher(key);
              String module = matcher.matches() ? matcher.group(1) : key;
              ranks.put(Pattern.quote(module), Collections.frequency(flags, true));
            });
    return super.read(config.with(RANK_PATTERN, ranks), modelType);
  }

  @Override
  public Map<String, @Nullable Object> write(AttachedAdapter adapter) {
    AdaLora method = (AdaLora) adapter.method();
    Map<String, @Nullable Object> fields = super.write(adapter);
    int warmup = Math.max(0, method.tinit());
    int finish = Math.max(0, method.tfinal());
    fields.put("tinit", warmup);
    fields.put("tfinal", finish);
    // PEFT wants a length that leaves room between these, though it has no meaning but in training.
    fields.put("total_step", warmup + finish + 1);
    Map<String, Object> pattern = new LinkedHashMap<>();
    for (Triplets layer : Triplets.of(adapter)) {
      List<Boolean> flags = new ArrayList<>(Collections.nCopies(layer.rank(), true));
      flags.addAll(Collections.nCopies(Math.max(0, method.initR() - layer.rank()), false));
      pattern.put(layer.path() + ".lora_E", flags);
    }
    fields.put(RANK_PATTERN, method.rankPattern().isEmpty() ? null : pattern);
    return fields;
  }
}

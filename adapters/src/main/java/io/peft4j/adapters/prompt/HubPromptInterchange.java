package io.peft4j.adapters.prompt;

import static io.peft4j.adapters.adapterhub.AdapterHubInterchange.unsupported;

import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapters.adapterhub.PresetInterchange;
import io.peft4j.adapters.peft.PeftConfig;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** {@code PromptTuningConfig} of AdapterHub. */
public final class HubPromptInterchange extends PresetInterchange {
  /** For ServiceLoader. */
  public HubPromptInterchange() {
    super(Map.of("hub-prompt-tuning", new HubPromptTuning(10, false)));
  }

  @Override
  public String architecture() {
    return "prompt_tuning";
  }

  @Override
  public boolean writes(AdapterMethod method) {
    return method instanceof HubPromptTuning;
  }

  @Override
  public AdapterMethod read(PeftConfig config) {
    String combine = config.text("combine", "prefix");
    if (!combine.equals("prefix") && !combine.equals("prefix_after_bos")) {
      throw unsupported(config, "combine", "it may be prefix or prefix_after_bos");
    }
    return new HubPromptTuning(
        config.whole("prompt_length", 10), combine.equals("prefix_after_bos"));
  }

  @Override
  public Map<String, @Nullable Object> fields(AdapterMethod method) {
    HubPromptTuning prompt = (HubPromptTuning) method;
    Map<String, @Nullable Object> fields = new LinkedHashMap<>();
    fields.put("architecture", "prompt_tuning");
    fields.put("prompt_length", prompt.length());
    fields.put("prompt_init", "random_uniform");
    fields.put("prompt_init_text", null);
    fields.put("combine", prompt.afterFirst() ? "prefix_after_bos" : "prefix");
    fields.put("init_weights_seed", null);
    return fields;
  }
}

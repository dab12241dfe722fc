package io.peft4j.adapters.prompt;

import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AttachedAdapter;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Prompt tuning in recipes, and as PEFT's configuration says it. */
public final class PromptTuningInterchange extends PromptInterchange {
  /** For ServiceLoader. */
  public PromptTuningInterchange() {}

  @Override
  public String peftType() {
    return "PROMPT_TUNING";
  }

  @Override
  public boolean describes(AdapterMethod method) {
    return method instanceof PromptTuning prompt && !prompt.pTuning();
  }

  @Override
  AdapterMethod method(int tokens, List<String> saved) {
    return new PromptTuning(tokens, false, saved);
  }

  @Override
  int tokens(AdapterMethod method) {
    return ((PromptTuning) method).virtualTokens();
  }

  @Override
  List<String> saved(AdapterMethod method) {
    return ((PromptTuning) method).modulesToSave();
  }

  @Override
  void addFields(AttachedAdapter adapter, Map<String, @Nullable Object> fields) {
    fields.put("prompt_tuning_init", "RANDOM");
  }
}

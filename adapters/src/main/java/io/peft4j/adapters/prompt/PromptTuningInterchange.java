package io.peft4j.adapters.prompt;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Prompt tuning in recipes, and as PEFT's configuration says it. */
public final class PromptTuningInterchange extends PromptInterchange<PromptTuning> {
  /** For ServiceLoader. */
  public PromptTuningInterchange() {
    super(PromptTuning.tokens(USUAL_TOKENS));
  }

  @Override
  public String peftType() {
    return "PROMPT_TUNING";
  }

  @Override
  PromptTuning loaded(int tokens, List<String> saved) {
    return new PromptTuning(tokens, PromptStart.SAMPLE_VOCAB, saved);
  }

  @Override
  void addFields(PromptTuning method, long size, Map<String, @Nullable Object> fields) {
    fields.put("prompt_tuning_init", method.init().name());
  }
}

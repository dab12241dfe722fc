package io.peft4j.adapters.prompt;

import io.peft4j.adapter.AttachedAdapter;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Prompt tuning in recipes, and as PEFT's configuration says it. */
public final class PromptTuningInterchange extends PromptInterchange<PromptTuning> {
  /** For ServiceLoader. */
  public PromptTuningInterchange() {
    super("PROMPT_TUNING", PromptTuning.tokens(USUAL_TOKENS));
  }

  @Override
  PromptTuning loaded(int tokens, List<String> saved) {
    return new PromptTuning(tokens, PromptStart.SAMPLE_VOCAB, "", List.of(), saved);
  }

  @Override
  void addFields(PromptTuning method, long size, Map<String, @Nullable Object> fields) {
    fields.put("prompt_tuning_init", method.init().name());
    fields.put("prompt_tuning_init_text", method.initText().isEmpty() ? null : method.initText());
  }

  /** PEFT wants the tokenizer of a text to be named, though it needs it at the start only. */
  @Override
  public Map<String, @Nullable Object> write(AttachedAdapter adapter, String baseModel) {
    Map<String, @Nullable Object> fields = super.write(adapter);
    boolean text = ((PromptTuning) adapter.method()).init() == PromptStart.TEXT;
    fields.put("tokenizer_name_or_path", text ? baseModel : null);
    return fields;
  }
}

package io.peft4j.adapters.prompt;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Prefix tuning in recipes, and as PEFT's configuration says it. */
public final class PrefixTuningInterchange extends PromptInterchange<PrefixTuning> {
  /** For ServiceLoader. */
  public PrefixTuningInterchange() {
    super("PREFIX_TUNING", PrefixTuning.tokens(USUAL_TOKENS));
  }

  @Override
  PrefixTuning loaded(int tokens, List<String> saved) {
    return new PrefixTuning(tokens, false, 0, saved);
  }

  @Override
  void addFields(PrefixTuning method, long size, Map<String, @Nullable Object> fields) {
    int hidden = method.encoderHiddenSize();
    fields.put("prefix_projection", method.prefixProjection());
    fields.put("encoder_hidden_size", hidden == 0 ? null : hidden);
  }
}

package io.peft4j.adapters.prompt;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** P-tuning in recipes, and as {@code PromptEncoderConfig} of PEFT says it. */
public final class PTuningInterchange extends PromptInterchange<PTuning> {
  /** For ServiceLoader. */
  public PTuningInterchange() {
    super("P_TUNING", PTuning.tokens(USUAL_TOKENS));
  }

  @Override
  PTuning loaded(int tokens, List<String> saved) {
    return PTuning.direct(tokens, saved);
  }

  /** PEFT wants an encoder to be named, though it makes none where it does not train. */
  @Override
  void addFields(PTuning method, long size, Map<String, @Nullable Object> fields) {
    EncoderKind encoder = method.hasNetwork() ? method.encoder() : EncoderKind.MLP;
    int hidden = method.encoderHiddenSize();
    fields.put("encoder_reparameterization_type", encoder.name());
    fields.put("encoder_hidden_size", hidden == 0 ? size : hidden);
    fields.put("encoder_num_layers", method.encoderNumLayers());
    fields.put("encoder_dropout", method.encoderDropout());
  }
}

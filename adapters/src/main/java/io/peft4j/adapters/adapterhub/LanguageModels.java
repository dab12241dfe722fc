package io.peft4j.adapters.adapterhub;

import io.peft4j.UnsupportedModelException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapters.bottleneck.Bottleneck;
import io.peft4j.adapters.peft.PeftConfig;
import io.peft4j.graph.Graph;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * Which of the library's language models take an invertible adapter back before their output layer:
 * its own classes ({@code LlamaAdapterModel}) and the types that it hooks into, but not the classes
 * of transformers that it changes itself ({@code LlamaForCausalLM}).
 */
final class LanguageModels {
  private static final Set<String> HOOKED =
      Set.of("modernbert", "gemma2", "gemma3_text", "qwen2", "qwen3", "phi");

  private static final Pattern PLAIN = Pattern.compile("(LMHeadModel|ForCausalLM|ForMaskedLM)$");

  private LanguageModels() {}

  private static boolean isPlain(String type, String modelClass) {
    return !HOOKED.contains(type) && PLAIN.matcher(modelClass).find();
  }

  /** Refuses an adapter that the library trained without the inverse that it has on this model. */
  static void requireInverse(PeftConfig config, AdapterMethod method, Graph base) {
    String modelClass = config.text("model_class", "");
    if (isPlain(config.text("model_type", ""), modelClass)
        && method instanceof Bottleneck bottleneck
        && bottleneck.invertsBeforeHead(base)) {
      throw new UnsupportedModelException(
          "%s: field 'inv_adapter' is set for a %s, for which the library leaves out the inverse before the output layer; use it on a model without that layer, or train it on a %s"
              .formatted(config.file(), modelClass, own(modelClass)));
    }
  }

  /** The class of the library that computes the same as an adapter made here. */
  static String modelClass(Graph base, AdapterMethod method, String modelClass) {
    String type = base.metadata().getOrDefault("model_type", "");
    return isPlain(type, modelClass)
            && method instanceof Bottleneck bottleneck
            && bottleneck.invertsBeforeHead(base)
        ? own(modelClass)
        : modelClass;
  }

  private static String own(String modelClass) {
    return PLAIN.matcher(modelClass).replaceFirst("AdapterModel");
  }
}

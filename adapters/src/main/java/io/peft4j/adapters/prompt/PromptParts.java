package io.peft4j.adapters.prompt;

import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.SavedModules;
import io.peft4j.adapters.compose.Attachment;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.Tensor;
import java.util.List;
import java.util.Map;

/** Steps that the prompts of PEFT share. */
final class PromptParts {
  private PromptParts() {}

  /** The vectors of a prompt, which files hold under a name of their own. */
  static String parameter(Attachment at, Tensor start) {
    String key = "prompt_embeddings";
    String name = at.editor().constant(key + "." + at.adapter(), start);
    at.editor().train(name);
    at.add(new AdapterTensor(name, "", key, false, AdapterTensor.Owner.ADAPTER));
    return name;
  }

  /** Lets modules train whole; beside a prompt PEFT stores them without the model's own prefix. */
  static void saveWhole(Attachment at, List<String> modules) {
    for (AdapterTensor tensor : SavedModules.train(at.editor(), at.sites(), modules)) {
      at.add(
          new AdapterTensor(
              tensor.initializer(),
              tensor.module(),
              tensor.parameter(),
              tensor.transposed(),
              AdapterTensor.Owner.ADAPTED_MODEL));
    }
  }

  static String reshaped(Attachment at, String scope, String x, long... shape) {
    return at.node(scope, "Reshape", x, at.constant(scope + ".shape", Tensor.vector(shape)));
  }

  static String transposed(Attachment at, String scope, String x, long... permutation) {
    return at.node(scope, "Transpose", Map.of("perm", Attribute.ofInts(permutation)), x);
  }

  /**
   * Each head so many times, one behind the other: [1, heads, n, width] to [1, heads · times, …].
   */
  static String repeatedHeads(
      Attachment at, String scope, String x, long heads, long tokens, long width, long times) {
    if (times == 1) {
      return x;
    }
    String apart = reshaped(at, scope, x, heads, 1, tokens, width);
    String shape = at.constant(scope + ".times", Tensor.vector(heads, times, tokens, width));
    String spread = at.node(scope, "Expand", apart, shape);
    return reshaped(at, scope, spread, 1, heads * times, tokens, width);
  }
}

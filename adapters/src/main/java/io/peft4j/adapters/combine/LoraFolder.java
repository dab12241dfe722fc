package io.peft4j.adapters.combine;

import io.peft4j.CheckpointFormatException;
import io.peft4j.UnsupportedModelException;
import io.peft4j.adapters.lora.BiasTraining;
import io.peft4j.adapters.lora.Lora;
import io.peft4j.adapters.lora.LoraInterchange;
import io.peft4j.adapters.peft.PeftFolder;
import io.peft4j.graph.Tensor;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * LoRA as a PEFT folder holds it, taken apart.
 *
 * @param files all of the folder
 * @param modules the factors by module path, as keys have it: with {@code base_model.model.}
 * @param others what else the file holds: modules that were trained whole
 */
record LoraFolder(
    PeftFolder files, Lora lora, Map<String, LoraFactors> modules, Map<String, Tensor> others) {
  private static final String PREFIX = "base_model.model.";
  private static final Pattern FACTOR =
      Pattern.compile("(.*)\\.lora_(embedding_)?([AB])(?:\\.weight)?");

  static LoraFolder of(PeftFolder files) {
    Lora lora = lora(files);
    Map<String, LoraFactors> modules = new LinkedHashMap<>();
    Map<String, Tensor> others = new LinkedHashMap<>(files.tensors());
    for (String key : files.tensors().keySet()) {
      Matcher matcher = FACTOR.matcher(key);
      if (matcher.matches()) {
        others.remove(key);
        String module = matcher.group(1);
        if (!modules.containsKey(module)) {
          modules.put(module, factors(files, lora, module, matcher.group(2) != null));
        }
      }
    }
    if (modules.isEmpty()) {
      throw new CheckpointFormatException(
          files.weights() + " holds no tensor of LoRA; copy the whole folder");
    }
    return new LoraFolder(files, lora, modules, others);
  }

  private static Lora lora(PeftFolder files) {
    String type = files.config().text("peft_type", "");
    if (!type.equals("LORA")) {
      throw new UnsupportedModelException(
          "%s is of type %s, but these combinations are for LoRA: make it LoRA with peft4j adapter extract, or use the type average"
              .formatted(files.folder(), type));
    }
    Lora lora = (Lora) new LoraInterchange().read(files.config(), "bert");
    String more =
        lora.dora()
            ? "use_dora (its lengths of rows)"
            : lora.loraBias()
                ? "lora_bias"
                : lora.bias() != BiasTraining.NONE
                    ? "bias (the base model's own biases)"
                    : lora.trainableTokenIndices().isEmpty() ? "" : "trainable_token_indices";
    if (!more.isEmpty()) {
      throw new UnsupportedModelException(
          "%s uses %s, which has no place in a sum of updates B A: make it plain LoRA with peft4j adapter extract, or use the type average"
              .formatted(files.folder(), more));
    }
    if (lora.init().leavesResidual()) {
      throw new UnsupportedModelException(
          "%s belongs on base weights that init_lora_weights '%s' changed: make it plain LoRA with peft4j adapter extract"
              .formatted(files.folder(), files.config().textOrEmpty("init_lora_weights")));
    }
    return lora;
  }

  private static LoraFactors factors(
      PeftFolder files, Lora lora, String module, boolean embedding) {
    Tensor a = tensor(files, LoraFactors.keyA(module, embedding));
    Tensor b = tensor(files, LoraFactors.keyB(module, embedding));
    boolean fits = a.rank() >= 2 && a.rank() == b.rank() && a.dim(0) == b.dim(1) && a.size() > 0;
    if (!fits || b.size() != b.dim(0) * b.dim(1)) {
      throw new CheckpointFormatException(
          "%s: A %s and B %s of '%s' do not make a product; save the adapter again"
              .formatted(files.weights(), a, b, module));
    }
    String path = path(module);
    if (a.dim(0) != lora.rankOf(path)) {
      throw new CheckpointFormatException(
          "%s: '%s' has the rank %d, but the configuration says %d; save the adapter again"
              .formatted(files.weights(), module, a.dim(0), lora.rankOf(path)));
    }
    return new LoraFactors(a, b, lora.scale(path), embedding);
  }

  private static Tensor tensor(PeftFolder files, String key) {
    Tensor tensor = files.tensors().get(key);
    if (tensor == null || !tensor.dtype().isFloat()) {
      throw new CheckpointFormatException(
          "%s %s the tensor '%s'; save the adapter again"
              .formatted(files.weights(), tensor == null ? "lacks" : "holds no floats in", key));
    }
    return tensor;
  }

  /** The module's path in the model. */
  static String path(String module) {
    return module.startsWith(PREFIX) ? module.substring(PREFIX.length()) : module;
  }
}

package io.peft4j.cli;

import io.peft4j.PeftException;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.task.Loss;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The inputs of a run, checked against the model.
 *
 * @param inputs those of the model, by name
 * @param labels what a loss judges by; null if not given
 */
record RunInputs(Map<String, Tensor> inputs, @Nullable Tensor labels) {
  private static final String IDS = "input_ids";
  private static final String MASK = "attention_mask";
  private static final String TYPES = "token_type_ids";

  /**
   * Takes what is given, and for SafeTensors models the library's defaults for a mask (all ones)
   * and token types (all zeros).
   *
   * @throws PeftException if an input is unknown or missing
   */
  static RunInputs of(ModelArguments.Opened opened, Map<String, Tensor> given) {
    Graph graph = opened.graph();
    List<String> known = graph.inputs().stream().map(v -> v.name()).toList();
    Map<String, Tensor> inputs = new LinkedHashMap<>(given);
    Tensor labels = known.contains(Loss.LABELS) ? null : inputs.remove(Loss.LABELS);
    for (String name : inputs.keySet()) {
      if (!known.contains(name)) {
        throw new PeftException(
            "input '%s' is unknown; the model takes %s, and 'labels' is always allowed"
                .formatted(name, String.join(", ", known)));
      }
    }
    if (!opened.base().checkpoint().format().equals("onnx")) {
      addDefault(inputs, known, MASK, 1);
      addDefault(inputs, known, TYPES, 0);
    }
    for (String name : graph.requiredInputs()) {
      if (!inputs.containsKey(name)) {
        throw new PeftException(
            "input '%s' is missing; the model takes %s".formatted(name, String.join(", ", known)));
      }
    }
    return new RunInputs(inputs, labels);
  }

  private static void addDefault(
      Map<String, Tensor> inputs, List<String> known, String name, long value) {
    Tensor ids = inputs.get(IDS);
    if (known.contains(name) && !inputs.containsKey(name) && ids != null) {
      long[] values = new long[Math.toIntExact(ids.size())];
      Arrays.fill(values, value);
      inputs.put(name, Tensor.ofLongs(ids.shape(), values));
    }
  }
}

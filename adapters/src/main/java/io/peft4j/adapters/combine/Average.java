package io.peft4j.adapters.combine;

import io.peft4j.PeftException;
import io.peft4j.adapters.peft.HeadFiles.Head;
import io.peft4j.adapters.peft.PeftFolder;
import io.peft4j.format.AdapterFormat.StoredHead;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** The weighted mean of every tensor of adapters with one configuration, of any method. */
final class Average {
  /** Fields that do not change what an adapter computes once it is trained. */
  private static final Set<String> OF_NO_WEIGHT =
      Set.of(
          "peft_version",
          "base_model_name_or_path",
          "revision",
          "inference_mode",
          "auto_mapping",
          "task_type",
          "lora_dropout",
          "module_dropout",
          "rank_dropout",
          "runtime_config");

  private Average() {}

  static PeftFolder of(List<PeftFolder> inputs, List<Double> weights) {
    PeftFolder first = inputs.get(0);
    double sum = weights.stream().mapToDouble(weight -> weight).sum();
    List<Double> shares = weights.stream().map(weight -> weight / sum).toList();
    for (PeftFolder input : inputs) {
      requireAlike(first, input);
    }
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    for (String key : first.tensors().keySet()) {
      tensors.put(
          key, mean(key, inputs.stream().map(in -> in.tensors().get(key)).toList(), shares));
    }
    return new PeftFolder(first.folder(), first.fields(), tensors, head(inputs, shares));
  }

  private static void requireAlike(PeftFolder first, PeftFolder other) {
    Map<String, @Nullable Object> expected = compared(first);
    Map<String, @Nullable Object> own = compared(other);
    for (String key : keys(expected, own)) {
      if (!Objects.equals(expected.get(key), own.get(key))) {
        throw new PeftException(
            "%s has '%s' %s, but %s has %s; a mean needs one configuration: for LoRA, another type combines these"
                .formatted(first.folder(), key, expected.get(key), other.folder(), own.get(key)));
      }
    }
    for (String key : keys(first.tensors(), other.tensors())) {
      Tensor a = first.tensors().get(key);
      Tensor b = other.tensors().get(key);
      if (a == null || b == null || !Arrays.equals(a.shape(), b.shape())) {
        throw new PeftException(
            "tensor '%s' is %s in %s, but %s in %s; a mean needs the same tensors"
                .formatted(
                    key,
                    a == null ? "missing" : a,
                    first.folder(),
                    b == null ? "missing" : b,
                    other.folder()));
      }
    }
  }

  private static Set<String> keys(Map<String, ?> one, Map<String, ?> other) {
    Map<String, Boolean> all = new TreeMap<>();
    one.keySet().forEach(key -> all.put(key, true));
    other.keySet().forEach(key -> all.put(key, true));
    return all.keySet();
  }

  /** What must be equal; an empty value is as none. */
  private static Map<String, @Nullable Object> compared(PeftFolder files) {
    Map<String, @Nullable Object> fields = new TreeMap<>(files.fields());
    fields.keySet().removeAll(OF_NO_WEIGHT);
    fields
        .values()
        .removeIf(
            value ->
                value == null
                    || Boolean.FALSE.equals(value)
                    || (value instanceof Map<?, ?> map && map.isEmpty())
                    || (value instanceof List<?> list && list.isEmpty()));
    return fields;
  }

  private static Tensor mean(String key, List<Tensor> tensors, List<Double> shares) {
    Tensor first = tensors.get(0);
    if (!first.dtype().isFloat()) {
      for (Tensor tensor : tensors) {
        if (!tensor.contentEquals(first)) {
          throw new PeftException(
              "tensor '%s' holds whole numbers that differ, of which there is no mean; average adapters that were trained with one seed"
                  .formatted(key));
        }
      }
      return first;
    }
    double[] mean = new double[Math.toIntExact(first.size())];
    for (int n = 0; n < tensors.size(); n++) {
      double[] values = tensors.get(n).toDoubles();
      for (int i = 0; i < mean.length; i++) {
        mean[i] += shares.get(n) * values[i];
      }
    }
    return Tensor.ofDoubles(first.shape(), mean).cast(DType.FLOAT32);
  }

  private static Head head(List<PeftFolder> inputs, List<Double> shares) {
    Head first = inputs.get(0).head();
    List<Tensor> weights = new ArrayList<>();
    List<Tensor> biases = new ArrayList<>();
    for (PeftFolder input : inputs) {
      StoredHead one = first.stored();
      StoredHead head = input.head().stored();
      boolean alike =
          input.head().labels().equals(first.labels())
              && (one == null ? head == null : head != null && head.head().equals(one.head()));
      if (!alike) {
        throw new PeftException(
            "%s has another head or other labels than %s; a mean needs the same"
                .formatted(input.folder(), inputs.get(0).folder()));
      }
      if (head != null) {
        weights.add(head.weight());
        biases.add(head.bias());
      }
    }
    StoredHead head = first.stored();
    return head == null
        ? first
        : new Head(
            new StoredHead(
                head.head(),
                mean("classifier.weight", weights, shares),
                mean("classifier.bias", biases, shares)),
            first.labels(),
            Map.of());
  }

  static boolean sameHead(Head one, Head other) {
    StoredHead a = one.stored();
    StoredHead b = other.stored();
    if (a == null || b == null) {
      return a == null && b == null;
    }
    return a.head().equals(b.head())
        && a.weight().contentEquals(b.weight())
        && a.bias().contentEquals(b.bias());
  }
}

package io.peft4j.adapters.lora;

import io.peft4j.adapter.AdapterTensor;
import io.peft4j.graph.DType;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.site.ConvSite;
import io.peft4j.site.LinearSite;
import io.peft4j.site.NormSite;
import io.peft4j.site.Site;
import io.peft4j.site.Sites;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Which of the model's own biases train beside LoRA. */
public enum BiasTraining {
  NONE,
  /** All of them. */
  ALL,
  /** Those of the adapted layers. */
  LORA_ONLY;

  /**
   * Lets the biases train.
   *
   * @param targets paths of the adapted layers
   * @param saved what {@code modules_to_save} trains already
   * @return the trained tensors beside {@code saved}, and what PEFT stores with them
   */
  List<AdapterTensor> train(
      GraphEditor editor, Sites sites, Set<String> targets, List<AdapterTensor> saved) {
    List<AdapterTensor> tensors = new ArrayList<>();
    if (this == NONE) {
      return tensors;
    }
    for (Site site : sites.modules()) {
      String bias = bias(site);
      boolean adapted = targets.contains(site.path());
      if (bias == null || (this == LORA_ONLY && !adapted)) {
        continue;
      }
      boolean isSaved = saved.stream().anyMatch(t -> t.initializer().equals(bias));
      Tensor present = editor.requiredInitializer(bias);
      if (isSaved) {
        if (this == ALL) {
          // PEFT stores both biases of a module that is saved whole: the trained and the first one.
          tensors.add(new AdapterTensor(bias, site.path(), "modules_to_save.bias"));
          String original = editor.constant(site.path() + ".original_module.bias", present);
          tensors.add(new AdapterTensor(original, site.path(), "original_module.bias"));
        }
        continue;
      }
      editor.initializer(bias, present.cast(DType.FLOAT32)).train(bias);
      String name = adapted ? "base_layer.bias" : "bias";
      tensors.add(new AdapterTensor(bias, site.path(), name));
    }
    return tensors;
  }

  private static @Nullable String bias(Site site) {
    if (site instanceof LinearSite linear) {
      return linear.bias();
    } else if (site instanceof NormSite norm) {
      return norm.bias();
    }
    return site instanceof ConvSite conv ? conv.bias() : null;
  }
}

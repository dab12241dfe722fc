package io.peft4j.loaders.huggingface;

import io.peft4j.UnsupportedModelException;
import io.peft4j.graph.DType;
import java.util.List;

/**
 * A plain {@code torch.nn.Sequential} of linear layers with an activation between each two: {@code
 * {"model_type": "mlp", "layer_sizes": [784, 128, 10], "hidden_act": "relu"}}. Linear layers have
 * the even numbers.
 */
final class MlpFamily implements FamilyBuilder {
  @Override
  public String modelType() {
    return "mlp";
  }

  @Override
  public List<String> architectures() {
    return List.of("Sequential", "torch.nn.Sequential");
  }

  @Override
  public void build(ModelConfig config, String architecture, GraphBlocks blocks) {
    List<Integer> sizes = config.counts("layer_sizes");
    if (sizes.size() < 2) {
      throw new UnsupportedModelException(
          config.file() + ": layer_sizes needs two sizes at least, for example [784, 128, 10]");
    }
    String activation = config.choice("hidden_act", "relu", Activations.NAMES);
    String x = blocks.input("input", DType.FLOAT32, "batch", sizes.get(0));
    for (int i = 0; i + 1 < sizes.size(); i++) {
      x = blocks.linear(Integer.toString(2 * i), x, sizes.get(i), sizes.get(i + 1));
      if (i + 2 < sizes.size()) {
        x = Activations.add(blocks, Integer.toString(2 * i + 1), x, activation);
      }
    }
    blocks.output("logits", x, "batch", sizes.get(sizes.size() - 1));
  }
}

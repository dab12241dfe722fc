package io.peft4j.loaders.huggingface;

import com.google.common.collect.Maps;
import io.peft4j.UnsupportedModelException;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** The model families that can be built. */
final class Families {
  private static final List<FamilyBuilder> ALL =
      List.of(
          new BertFamily(),
          new Gpt2Family(),
          new LlamaFamily(LlamaKind.LLAMA),
          new LlamaFamily(LlamaKind.MISTRAL),
          new LlamaFamily(LlamaKind.QWEN2),
          new LlamaFamily(LlamaKind.QWEN3),
          new MlpFamily());

  private Families() {}

  /**
   * The graph of a checkpoint. Tensors that the model does not use stay in it as initializers.
   *
   * @param weightsFile for messages
   * @param debug whether the states after all layers are outputs too
   */
  static Graph build(
      ModelConfig config, Path weightsFile, Map<String, Tensor> tensors, boolean debug) {
    FamilyBuilder family = family(config);
    config.mustBeOff("auto_map", "quantization_config", "compression_config");
    String architecture = architecture(config, family);
    Map<String, Tensor> kept = Maps.filterKeys(tensors, name -> !family.isBuffer(name));
    Weights weights = new Weights(weightsFile, kept, family.basePrefix());
    GraphBlocks blocks = new GraphBlocks(architecture, weights, debug);
    family.build(config, architecture, blocks);
    config.rejectUnknown();
    blocks.editor().metadata("architecture", architecture);
    blocks.editor().metadata("model_type", family.modelType());
    String problem = config.text("problem_type", "");
    if (!problem.isEmpty()) {
      blocks.editor().metadata("problem_type", problem);
    }
    return blocks.build();
  }

  /** As {@link FamilyBuilder#untiedHead}. */
  static String untiedHead(ModelConfig config) {
    return family(config).untiedHead();
  }

  private static FamilyBuilder family(ModelConfig config) {
    String modelType = config.modelType();
    for (FamilyBuilder family : ALL) {
      if (family.modelType().equals(modelType)) {
        return family;
      }
    }
    throw new UnsupportedModelException(
        "%s: model_type '%s' is not supported; supported are %s; other models can be opened as ONNX"
            .formatted(
                config.file(),
                modelType,
                ALL.stream().map(FamilyBuilder::modelType).collect(Collectors.joining(", "))));
  }

  private static String architecture(ModelConfig config, FamilyBuilder family) {
    List<String> named = config.architectures();
    if (named.isEmpty()) {
      return family.architectures().get(0);
    }
    for (String name : named) {
      if (family.architectures().contains(name)) {
        return name;
      }
    }
    throw new UnsupportedModelException(
        "%s: architectures %s is not supported for model_type '%s'; supported are %s"
            .formatted(
                config.file(),
                named,
                family.modelType(),
                String.join(", ", family.architectures())));
  }
}

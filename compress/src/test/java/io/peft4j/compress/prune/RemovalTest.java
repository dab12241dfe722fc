package io.peft4j.compress.prune;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.peft4j.Checkpoints;
import io.peft4j.PretrainedModel;
import io.peft4j.UnsupportedModelException;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.InferenceEngines;
import io.peft4j.engine.OutputDifference;
import io.peft4j.engine.Program;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class RemovalTest {
  private static final Path RESOURCES = Path.of("src/test/resources");

  @TempDir private Path folder;

  private static BitSet units(int... numbers) {
    BitSet set = new BitSet();
    for (int number : numbers) {
      set.set(number);
    }
    return set;
  }

  @Test
  void shapesWeightsAndOutputsAreThoseOfTheReference() {
    Map<String, Tensor> golden =
        SafeTensors.read(RESOURCES.resolve("compression/structured.safetensors")).tensors();
    Graph bert = Checkpoints.open(RESOURCES.resolve("base-bert")).graph();
    Dependencies dependencies = new Dependencies(bert, ValueShapes.of(bert));
    List<Block> neurons = Blocks.of(dependencies, Structure.NEURONS);
    List<Block> heads = Blocks.of(dependencies, Structure.HEADS);
    Map<Block, BitSet> gone = new HashMap<>();
    gone.put(neurons.get(0), units(3, 40, 71));
    gone.put(neurons.get(1), units(0, 12, 50));
    gone.put(heads.get(1), units(2));
    Graph pruned = new Removal(gone).apply(dependencies).graph();
    golden.forEach(
        (key, tensor) -> {
          if (key.startsWith("pruned.")) {
            assertThat(pruned.initializer(key.substring("pruned.".length())).contentEquals(tensor))
                .as(key)
                .isTrue();
          }
        });
    Map<String, Tensor> batch = Calibration.inputs(bert, OneBatch.of(golden).tensors());
    try (Program program = TorchEngine.compile(pruned, CompileOptions.evaluation())) {
      Tensor logits = program.run(batch).get("logits");
      assertThat(OutputDifference.largest(logits, golden.get("logits"))).isLessThan(1e-5);
      assertThat(OutputDifference.largest(logits, golden.get("logits_base"))).isGreaterThan(1e-3);
    }
  }

  /** Cutting equals masking (which pruning itself checks), in both engines, and in a file. */
  @ParameterizedTest
  @CsvSource({
    "base-bert, NEURONS",
    "base-bert, HEADS",
    "base-bert, WIDTH",
    "base-gpt2, NEURONS",
    "base-gpt2, HEADS",
    "base-gpt2, WIDTH",
    "base-llama, NEURONS",
    "base-llama, HEADS",
    "base-llama, WIDTH",
    "onnx/bert-dynamo/model.onnx, NEURONS",
    "onnx/bert-dynamo/model.onnx, HEADS",
    "onnx/distilbert/model.onnx, NEURONS",
    "onnx/distilbert/model.onnx, HEADS",
    "onnx/distilbert/model.onnx, WIDTH",
    "onnx/gpt2/model.onnx, NEURONS",
    "onnx/gpt2/model.onnx, HEADS",
    "onnx/gpt2/model.onnx, WIDTH",
    "onnx/llama/model.onnx, NEURONS",
    "onnx/llama/model.onnx, HEADS",
    "onnx/llama/model.onnx, WIDTH",
    "onnx/vit/model.onnx, NEURONS",
    "onnx/vit/model.onnx, HEADS",
    "onnx/vit/model.onnx, WIDTH",
    "onnx/t5-encoder/model.onnx, NEURONS",
    "onnx/t5-encoder/model.onnx, HEADS",
    "onnx/resnet-bn/model.onnx, CHANNELS"
  })
  void prunedModelIsSmallerAndRunsAlikeInBothEngines(String model, Structure structure) {
    PretrainedModel base = Checkpoints.open(RESOURCES.resolve(model));
    PrunedModel pruned =
        Pruning.of(Target.share(0.3), structure).by(Importance.MAGNITUDE).prune(base);
    assertThat(pruned.maskedDifference()).isLessThan(1e-5);
    assertThat(pruned.after().parameters()).isLessThan(pruned.before().parameters());
    assertThat(pruned.after().flops()).isLessThan(pruned.before().flops());
    Path file = folder.resolve("pruned.onnx");
    pruned.model().save(file);
    Graph read = Checkpoints.open(file).graph();
    assertThat(read.parameterCount()).isEqualTo(pruned.after().parameters());
    Map<String, Tensor> inputs =
        model.startsWith("onnx")
            ? SafeTensors.read(RESOURCES.resolve(model).resolveSibling("inputs.safetensors"))
                .tensors()
            : io.peft4j.engine.ProbeInputs.of(read);
    try (Program torch = TorchEngine.compile(pruned.model().graph(), CompileOptions.evaluation());
        Program runtime = InferenceEngines.named(InferenceEngines.ONNX_RUNTIME).open(file)) {
      assertThat(OutputDifference.largest(torch.run(inputs), runtime.run(inputs))).isLessThan(1e-4);
    }
  }

  @Test
  void headsThatShareKeysGoAsAGroup() {
    Graph llama = Checkpoints.open(RESOURCES.resolve("onnx/llama/model.onnx")).graph();
    Dependencies dependencies = new Dependencies(llama, ValueShapes.of(llama));
    List<Block> blocks = Blocks.of(dependencies, Structure.HEADS);
    assertThat(blocks.get(0).units()).isEqualTo(2); // four query heads, two of keys and values
    List<Integer> cut = new ArrayList<>();
    blocks.get(0).reach().forEach((axis, labels) -> cut.add(labels.length));
    assertThat(cut).contains(2, 4, 16, 32);
  }

  @Test
  void widthOfAnEncoderThatGivesItsStreamIsRefused() {
    PretrainedModel encoder = Checkpoints.open(RESOURCES.resolve("onnx/t5-encoder/model.onnx"));
    Pruning pruning = Pruning.of(Target.share(0.3), Structure.WIDTH).by(Importance.MAGNITUDE);
    assertThatThrownBy(() -> pruning.prune(encoder))
        .isInstanceOf(UnsupportedModelException.class)
        .hasMessageContaining("output 'last_hidden_state' of the model would change its size");
  }

  @Test
  void countsArriveAtTheirTargets() {
    PretrainedModel base = Checkpoints.open(RESOURCES.resolve("base-bert"));
    PrunedModel fewer =
        Pruning.of(Target.parameters(22_000), Structure.NEURONS, Structure.HEADS)
            .by(Importance.MAGNITUDE)
            .prune(base);
    assertThat(fewer.after().parameters()).isBetween(21_000L, 22_000L);
    PrunedModel faster =
        Pruning.of(Target.flops(0.25), Structure.NEURONS, Structure.HEADS)
            .by(Importance.MAGNITUDE)
            .prune(base);
    assertThat(faster.after().flops() / (double) faster.before().flops())
        .isCloseTo(0.75, within(0.02))
        .isLessThanOrEqualTo(0.75);
  }
}

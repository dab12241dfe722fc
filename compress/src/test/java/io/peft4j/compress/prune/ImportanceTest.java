package io.peft4j.compress.prune;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.peft4j.Checkpoints;
import io.peft4j.PeftException;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.loaders.safetensors.SafeTensors;
import io.peft4j.task.Loss;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class ImportanceTest {
  private static final Path RESOURCES = Path.of("src/test/resources");
  private static final Map<String, Tensor> GOLDEN =
      SafeTensors.read(RESOURCES.resolve("compression/importance.safetensors")).tensors();
  private static final Graph BERT = Checkpoints.open(RESOURCES.resolve("base-bert")).graph();
  private static final Dependencies DEPENDENCIES = new Dependencies(BERT, ValueShapes.of(BERT));
  private static final Calibration DATA =
      new Calibration(OneBatch.of(GOLDEN), Loss.CROSS_ENTROPY, "logits", 6);

  private static List<double[]> scores(Structure structure, Importance importance) {
    List<Block> blocks = Blocks.of(DEPENDENCIES, structure);
    return List.copyOf(UnitScores.of(DEPENDENCIES, blocks, importance, DATA).values());
  }

  private static void isGolden(double[] scores, String key) {
    assertThat(scores).containsExactly(GOLDEN.get(key).toDoubles(), within(1e-5));
  }

  @Test
  void taylorOfNeuronsIsThatOfTheReference() {
    List<double[]> scores = scores(Structure.NEURONS, Importance.TAYLOR);
    isGolden(scores.get(0), "taylor_abs.layer0");
    isGolden(scores.get(1), "taylor_abs.layer1");
  }

  @Test
  void taylorSquaredOfNeuronsIsThatOfTheReference() {
    List<double[]> scores = scores(Structure.NEURONS, Importance.TAYLOR_SQUARED);
    isGolden(scores.get(0), "taylor_signed_square.layer0");
    isGolden(scores.get(1), "taylor_signed_square.layer1");
  }

  @Test
  void taylorOfHeadsIsThatOfTheReference() {
    List<double[]> scores = scores(Structure.HEADS, Importance.TAYLOR);
    double[] golden = GOLDEN.get("head_importance_abs").toDoubles();
    for (int i = 0; i < golden.length; i++) {
      assertThat(scores.get(i / 4)[i % 4]).isCloseTo(golden[i], within(1e-5));
    }
  }

  @Test
  void gradientsOfWeightsAreThoseOfTheReference() {
    Set<String> names = names("weight_taylor.");
    Map<String, double[]> gradients = WeightGradients.of(BERT, names, DATA, false);
    Map<String, double[]> squares = WeightGradients.of(BERT, names, DATA.by(1), true);
    for (String name : names) {
      float[] weight = BERT.initializer(name).toFloats();
      double[] gradient = gradients.get(name);
      double[] taylor = new double[weight.length];
      for (int i = 0; i < taylor.length; i++) {
        taylor[i] = Math.abs(weight[i] * gradient[i]);
      }
      isGolden(taylor, "weight_taylor." + name);
      isGolden(squares.get(name), "fisher." + name);
    }
  }

  private static Set<String> names(String prefix) {
    return GOLDEN.keySet().stream()
        .filter(key -> key.startsWith(prefix))
        .map(key -> key.substring(prefix.length()))
        .collect(Collectors.toCollection(LinkedHashSet::new));
  }

  @Test
  void magnitudeOfANeuronIsTheLengthOfItsWeights() {
    double sum = 0;
    String layer = "bert.encoder.layer.0.";
    float[] up = BERT.initializer(layer + "intermediate.dense.weight").toFloats();
    float[] bias = BERT.initializer(layer + "intermediate.dense.bias").toFloats();
    float[] down = BERT.initializer(layer + "output.dense.weight").toFloats();
    for (int i = 0; i < 32; i++) {
      sum += up[5 * 32 + i] * up[5 * 32 + i] + down[i * 72 + 5] * down[i * 72 + 5];
    }
    double expected = Math.sqrt(sum + bias[5] * bias[5]);
    assertThat(scores(Structure.NEURONS, Importance.MAGNITUDE).get(0)[5])
        .isCloseTo(expected, within(1e-6));
  }

  /** The mask's gradient is that of all of the unit's weights into its reader: Σ w · dL/dw. */
  @Test
  void fisherOfOneRowIsTheSquareOfTaylorSummedOverTheWeightsThatRead() {
    Calibration first =
        new Calibration(
            new OneBatch(OneBatch.of(GOLDEN).batch(new int[] {2})),
            Loss.CROSS_ENTROPY,
            "logits",
            1);
    List<Block> blocks = Blocks.of(DEPENDENCIES, Structure.NEURONS);
    double[] fisher =
        UnitScores.of(DEPENDENCIES, blocks, Importance.FISHER, first).values().iterator().next();
    String down = "bert.encoder.layer.0.output.dense.weight";
    double[] gradient = WeightGradients.of(BERT, Set.of(down), first, false).get(down);
    float[] weight = BERT.initializer(down).toFloats();
    for (int neuron = 0; neuron < 72; neuron++) {
      double sum = 0;
      for (int out = 0; out < 32; out++) {
        sum += weight[out * 72 + neuron] * gradient[out * 72 + neuron];
      }
      assertThat(fisher[neuron]).isCloseTo(sum * sum, within(1e-7));
    }
  }

  @Test
  void wandaAndActivationOfAUnitAreThoseOfItsColumn() {
    Map<String, Tensor> golden =
        SafeTensors.read(RESOURCES.resolve("compression/wanda.safetensors")).tensors();
    Tensor inputs = golden.get("inputs");
    GraphEditor editor = new GraphEditor("layer");
    editor.input(Value.of("x", DType.FLOAT32, "batch", 32));
    editor.initializer("w", golden.get("weight").transposed(1, 0));
    String read = editor.node("/read", "Identity", List.of("x"));
    editor.add(Node.of("/layer", "MatMul", List.of(read, "w"), List.of("y"), Map.of()));
    Graph layer = editor.output(Value.of("y", DType.FLOAT32, "batch", 72)).build();
    int[] units = IntStream.range(0, 32).toArray();
    Block block =
        new Block(
            Structure.NEURONS,
            "layer",
            32,
            Map.of(new Axis(read, 1), units, new Axis("w", 0), units));
    Dependencies dependencies = new Dependencies(layer, ValueShapes.of(layer));
    Calibration rows =
        new Calibration(new OneBatch(Map.of("x", inputs)), Loss.CROSS_ENTROPY, "y", 1);
    double[] score = golden.get("score").toDoubles();
    double[] wanda = UnitScores.of(dependencies, List.of(block), Importance.WANDA, rows).get(block);
    double[] activation =
        UnitScores.of(dependencies, List.of(block), Importance.ACTIVATION, rows).get(block);
    for (int unit = 0; unit < 32; unit++) {
      double sum = 0;
      for (int out = 0; out < 72; out++) {
        sum += score[out * 32 + unit];
      }
      double square = 0;
      for (int row = 0; row < 40; row++) {
        square += Math.pow(inputs.toFloats()[row * 32 + unit], 2);
      }
      assertThat(wanda[unit]).isCloseTo(sum, within(1e-4));
      assertThat(activation[unit]).isCloseTo(Math.sqrt(square), within(1e-5));
    }
  }

  @Test
  void scoresThatLookAtDataNeedSome() {
    List<Block> blocks = Blocks.of(DEPENDENCIES, Structure.NEURONS);
    assertThatThrownBy(() -> UnitScores.of(DEPENDENCIES, blocks, Importance.WANDA, null))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("magnitude");
  }
}

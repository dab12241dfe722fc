package io.peft4j.adapters;

import static io.peft4j.adapters.MethodCase.assertClose;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.peft4j.AdaptedModel;
import io.peft4j.Checkpoints;
import io.peft4j.MergedModel;
import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.boft.Boft;
import io.peft4j.adapters.delora.Delora;
import io.peft4j.adapters.hira.Hira;
import io.peft4j.adapters.hra.Hra;
import io.peft4j.adapters.ia3.Ia3;
import io.peft4j.adapters.loha.Loha;
import io.peft4j.adapters.lokr.Lokr;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Methods that PEFT has on convolutions: stem [6, 3, 3, 3] with strides, middle [8, 6, 3, 1]
 * without a bias, point [8, 8, 1, 1], grouped [8, 4, 3, 3] in 2 groups.
 */
class ConvolutionMethodsTest {
  private static final Path ROOT = Path.of("src/test/resources/methods/conv");
  private static final Targets ALL = Targets.named(List.of("stem", "middle", "point", "grouped"));
  private static final Targets ONE_GROUP = Targets.named(List.of("stem", "middle", "point"));
  private static final Targets SQUARE = Targets.named(List.of("stem", "point"));
  private static final Targets POINT = Targets.named(List.of("point"));
  private static final String PREFIX = "base_model.model.";

  /** Each method with the shapes of its tensors in PEFT's file, those of one or two modules. */
  static Stream<Arguments> cases() {
    return Stream.of(
        Arguments.of(Ia3.on(ALL, POINT), Map.of("stem.ia3_l", "[1, 6, 1, 1]")),
        Arguments.of(
            Ia3.on(ALL, ALL),
            Map.of("stem.ia3_l", "[1, 3, 1, 1]", "grouped.ia3_l", "[1, 8, 1, 1]")),
        Arguments.of(
            Loha.rank(2).on(ALL),
            Map.of(
                "stem.hada_w1_a", "[6, 2]",
                "stem.hada_w1_b", "[2, 27]",
                "grouped.hada_w2_b", "[2, 36]")),
        Arguments.of(
            Loha.rank(2).on(ALL).effectiveConv2d(true),
            Map.of(
                "stem.hada_t1", "[2, 2, 3, 3]",
                "stem.hada_w1_a", "[2, 6]",
                "stem.hada_w1_b", "[2, 3]",
                "middle.hada_t2", "[2, 2, 3, 1]",
                "grouped.hada_w2_b", "[2, 4]",
                "point.hada_w1_a", "[8, 2]")),
        Arguments.of(
            Lokr.rank(1).on(ALL),
            Map.of(
                "stem.lokr_w1", "[2, 1]",
                "stem.lokr_w2_a", "[3, 1]",
                "stem.lokr_w2_b", "[1, 27]",
                "middle.lokr_w1", "[2, 2]",
                "middle.lokr_w2_b", "[1, 9]")),
        Arguments.of(
            Lokr.rank(2).on(ALL),
            Map.of("stem.lokr_w2", "[3, 3, 3, 3]", "point.lokr_w2", "[4, 4, 1, 1]")),
        Arguments.of(
            Lokr.rank(1).on(ALL).effectiveConv2d(true),
            Map.of(
                "stem.lokr_t2", "[1, 1, 3, 3]",
                "stem.lokr_w2_a", "[1, 3]",
                "stem.lokr_w2_b", "[1, 3]",
                "point.lokr_w2_a", "[4, 1]")),
        Arguments.of(
            Hira.rank(2).on(ONE_GROUP),
            Map.of("stem.hira_A", "[2, 3, 3, 3]", "middle.hira_B", "[8, 2, 1, 1]")),
        Arguments.of(
            Hra.rank(2).on(SQUARE), Map.of("stem.hra_u", "[27, 2]", "point.hra_u", "[8, 2]")),
        Arguments.of(
            Boft.block(4).on(POINT),
            Map.of("point.boft_R", "[1, 2, 4, 4]", "point.boft_s", "[1, 8]")));
  }

  private static PretrainedModel base() {
    return Checkpoints.open(ROOT.resolve("model.onnx"));
  }

  private static Map<String, Tensor> batch(String... keys) {
    Map<String, Tensor> io = SafeTensors.read(ROOT.resolve("lora/io.safetensors")).tensors();
    Map<String, Tensor> batch = new HashMap<>(io);
    batch.keySet().retainAll(List.of(keys));
    return batch;
  }

  private static Tensor logits(Graph graph) {
    return MethodCase.run(graph, batch("pixel_values")).get("logits");
  }

  @ParameterizedTest
  @MethodSource("cases")
  void theModelStartsUnchanged(AdapterMethod method) {
    AdaptedModel adapted = base().attach(method);
    assertClose("logits", logits(adapted.graph()), logits(base().graph()), 1e-6, 0);
  }

  @ParameterizedTest
  @MethodSource("cases")
  void gradientsAreTheSlopesOfTheLoss(AdapterMethod method) {
    FiniteDifferences.checkSome(base().attach(method), batch("pixel_values", "labels"), 3);
  }

  @ParameterizedTest
  @MethodSource("cases")
  void mergedItSaysTheSame(AdapterMethod method) {
    AdaptedModel adapted = SmallMethods.moved(base().attach(method));
    MergedModel merged = adapted.merge();
    assertThat(merged.maxOutputDifference()).isLessThan(1e-5);
    Tensor expected = logits(adapted.graph());
    assertClose("logits", logits(merged.model().graph()), expected, 1e-5, 0);
    assertThat(expected.contentEquals(logits(base().graph()))).isFalse();
    assertThat(merged.model().graph().nodes()).hasSameSizeAs(base().graph().nodes());
  }

  @ParameterizedTest
  @MethodSource("cases")
  void theFileIsPeftsAndReadAgain(
      AdapterMethod method, Map<String, String> shapes, @TempDir Path folder) {
    AdaptedModel adapted = SmallMethods.moved(base().attach(method));
    adapted.save(folder.resolve("saved"));
    Map<String, String> found = new TreeMap<>();
    SafeTensors.read(folder.resolve("saved/adapter_model.safetensors"))
        .tensors()
        .forEach((key, tensor) -> found.put(key, Arrays.toString(tensor.shape())));
    shapes.forEach((key, shape) -> assertThat(found).containsEntry(PREFIX + key, shape));
    AdaptedModel read = base().load(folder.resolve("saved"));
    assertThat(logits(read.graph()).contentEquals(logits(adapted.graph()))).isTrue();
  }

  /** The change of stem's weight, element by element. */
  private record Change(AdaptedModel adapted) {
    double of(String tensor, long... at) {
      Tensor values = adapted.graph().initializer("stem." + tensor + ".default");
      long index = 0;
      for (int axis = 0; axis < at.length; axis++) {
        index = index * values.dim(axis) + at[axis];
      }
      return values.toDoubles()[(int) index];
    }

    static double of(float[] weight, int p, int q, int k, int l) {
      return weight[((p * 3 + q) * 3 + k) * 3 + l];
    }
  }

  private interface Element {
    double at(Change change, int p, int q, int k, int l);
  }

  private static void assertChange(AdapterMethod method, Element formula) {
    AdaptedModel adapted = SmallMethods.moved(base().attach(method));
    float[] before = base().graph().initializer("stem.weight").toFloats();
    float[] after = adapted.merge().model().graph().initializer("stem.weight").toFloats();
    Change change = new Change(adapted);
    for (int p = 0; p < 6; p++) {
      for (int q = 0; q < 3; q++) {
        for (int k = 0; k < 3; k++) {
          for (int l = 0; l < 3; l++) {
            double difference = Change.of(after, p, q, k, l) - Change.of(before, p, q, k, l);
            assertThat(difference).isCloseTo(formula.at(change, p, q, k, l), within(1e-6));
          }
        }
      }
    }
  }

  /** Σ t[i, j, k, l] a[i, p] b[j, q]. */
  private static double tucker(
      Change c, String t, String a, String b, int r, int p, int q, int k, int l) {
    double sum = 0;
    for (int i = 0; i < r; i++) {
      for (int j = 0; j < r; j++) {
        sum += c.of(t, i, j, k, l) * c.of(a, i, p) * c.of(b, j, q);
      }
    }
    return sum;
  }

  @Test
  void lohasLargerKernelsAreProductsOfTuckersForms() {
    assertChange(
        Loha.rank(2).on(ALL).effectiveConv2d(true),
        (c, p, q, k, l) ->
            tucker(c, "hada_t1", "hada_w1_a", "hada_w1_b", 2, p, q, k, l)
                * tucker(c, "hada_t2", "hada_w2_a", "hada_w2_b", 2, p, q, k, l));
  }

  @Test
  void lokrsKernelsAreKroneckerProductsOverChannels() {
    assertChange(
        Lokr.rank(2).on(ALL),
        (c, p, q, k, l) -> c.of("lokr_w1", p / 3, 0) * c.of("lokr_w2", p % 3, q, k, l));
    assertChange(
        Lokr.rank(1).on(ALL).effectiveConv2d(true),
        (c, p, q, k, l) ->
            c.of("lokr_w1", p / 3, 0)
                * tucker(c, "lokr_t2", "lokr_w2_a", "lokr_w2_b", 1, p % 3, q, k, l));
  }

  @Test
  void hirasKernelsAreTheModelsTimesALowRankProduct() {
    float[] weight = base().graph().initializer("stem.weight").toFloats();
    assertChange(
        Hira.rank(2).on(ONE_GROUP),
        (c, p, q, k, l) ->
            Change.of(weight, p, q, k, l)
                * (c.of("hira_B", p, 0, 0, 0) * c.of("hira_A", 0, q, k, l)
                    + c.of("hira_B", p, 1, 0, 0) * c.of("hira_A", 1, q, k, l)));
  }

  @Test
  void ia3ScalesTheChannelsThatGoIn() {
    float[] weight = base().graph().initializer("stem.weight").toFloats();
    assertChange(
        Ia3.on(ALL, ALL),
        (c, p, q, k, l) -> Change.of(weight, p, q, k, l) * (c.of("ia3_l", 0, q, 0, 0) - 1));
  }

  static Stream<Arguments> sequences() {
    Targets conv = Targets.named(List.of("conv"));
    return Stream.of(
        Arguments.of(Loha.rank(2).on(conv), "hada_w1_b", "[2, 9]"),
        Arguments.of(Loha.rank(2).on(conv).effectiveConv2d(true), "hada_t1", "[2, 2, 3, 1]"),
        Arguments.of(Hira.rank(2).on(conv), "hira_A", "[2, 3, 3]"));
  }

  @ParameterizedTest
  @MethodSource("sequences")
  void convolutionsOverSequencesAreAdaptedAlike(AdapterMethod method, String key, String shape) {
    float[] drawn = new float[2 * 3 * 7];
    Random random = new Random(7);
    for (int i = 0; i < drawn.length; i++) {
      drawn[i] = (float) random.nextGaussian();
    }
    Tensor weight = Tensor.ofFloats(new long[] {4, 3, 3}, Arrays.copyOf(drawn, 36));
    Tensor input = Tensor.ofFloats(new long[] {2, 3, 7}, drawn);
    GraphEditor editor = new GraphEditor("sequence");
    editor.input(Value.of("input_values", DType.FLOAT32, "batch", 3, "length"));
    editor.initializer("conv.weight", weight);
    editor.initializer("axis", Tensor.vector(2));
    String hidden = editor.node("/conv/Conv", "Conv", List.of("input_values", "conv.weight"));
    Map<String, Attribute> mean = Map.of("keepdims", Attribute.of(0L));
    editor.add(Node.of("/mean", "ReduceMean", List.of(hidden, "axis"), List.of("logits"), mean));
    editor.output(Value.of("logits", DType.FLOAT32, "batch", "classes"));
    PretrainedModel model = PretrainedModel.of(editor.build());
    Map<String, Tensor> batch = Map.of("input_values", input, "labels", Tensor.vector(1, 3));
    FiniteDifferences.checkSome(model.attach(method), batch, 3);
    AdaptedModel adapted = SmallMethods.moved(model.attach(method));
    Tensor added = adapted.graph().initializer("conv." + key + ".default");
    assertThat(Arrays.toString(added.shape())).isEqualTo(shape);
    Map<String, Tensor> inputs = Map.of("input_values", input);
    assertClose(
        "logits",
        MethodCase.run(adapted.merge().model().graph(), inputs).get("logits"),
        MethodCase.run(adapted.graph(), inputs).get("logits"),
        1e-5,
        0);
  }

  /** As PEFT's refusals and its forward passes are. */
  @Test
  void whatPeftHasNotIsRefused() {
    assertRefused(Hira.rank(2).on(ALL), "'grouped' has 2 groups, which hira does not take");
    assertRefused(
        Hra.rank(2).on(Targets.named(List.of("grouped"))),
        "'grouped' has 2 groups, which hra does not take");
    assertRefused(Boft.block(3).on(ONE_GROUP), "'middle' differs in its axes, which boft");
    assertRefused(
        Delora.rank(2).on(ALL), "'stem' is no linear layer; delora takes linear layers only");
  }

  private static void assertRefused(AdapterMethod method, String message) {
    assertThatThrownBy(() -> base().attach(method))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining(message);
  }
}

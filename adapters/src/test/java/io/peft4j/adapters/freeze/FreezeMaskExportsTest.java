package io.peft4j.adapters.freeze;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.AdaptedModel;
import io.peft4j.Checkpoints;
import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapters.FiniteDifferences;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.loaders.safetensors.SafeTensors;
import io.peft4j.task.PooledHead;
import io.peft4j.task.Pooling;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Freeze masks on models whose weights exporters renamed, transposed, folded, tied or narrowed. */
class FreezeMaskExportsTest {
  private static final Path LOADERS = Path.of("../loaders/src/test/resources");
  private static final String PREFIX = "base_model.model.";

  private static PretrainedModel onnx(String name) {
    return Checkpoints.open(LOADERS.resolve("onnx").resolve(name).resolve("model.onnx"));
  }

  private static Path checkpoint(String name) {
    return LOADERS.resolve("families").resolve(name);
  }

  private static Set<String> names(AdaptedModel model) {
    return model.adapter().tensors().stream()
        .map(ModelWeights::fullName)
        .collect(Collectors.toSet());
  }

  @ParameterizedTest
  @ValueSource(strings = {"bert-opset14", "bert-opset17", "bert-nofold", "bert-dynamo"})
  void anAdapterOfAnExportHoldsTheCheckpointsOwnTensors(String export, @TempDir Path folder) {
    Path adapter = folder.resolve("adapter");
    onnx(export).attach(FreezeMask.topLayers(1)).save(adapter);
    Map<String, Tensor> stored =
        SafeTensors.read(adapter.resolve("adapter_model.safetensors")).tensors();
    Map<String, Tensor> expected = new TreeMap<>();
    SafeTensors.read(checkpoint("bert").resolve("model.safetensors"))
        .tensors()
        .forEach(
            (name, tensor) -> {
              if (name.contains("encoder.layer.1.")) {
                expected.put(PREFIX + name, tensor);
              }
            });
    assertThat(stored.keySet()).isEqualTo(expected.keySet());
    stored.forEach(
        (key, tensor) -> assertThat(tensor.contentEquals(expected.get(key))).as(key).isTrue());
  }

  @ParameterizedTest
  @ValueSource(strings = {"bert-opset17", "bert-dynamo", "gpt2", "llama", "resnet-bn", "vit"})
  void everyWeightOfAnExportIsSavedReadBackAndMergedExactly(String export, @TempDir Path folder) {
    AdaptedModel model = changed(onnx(export).attach(FreezeMask.all()));
    model.save(folder.resolve("adapter"));
    assertSameValues(onnx(export).load(folder.resolve("adapter")), model);
    assertThat(model.merge().maxOutputDifference()).isZero();
  }

  static Stream<FreezeMask> kinds() {
    return Stream.of(
        FreezeMask.all(),
        FreezeMask.head(),
        FreezeMask.bias(),
        FreezeMask.norm(),
        FreezeMask.topLayers(1));
  }

  @ParameterizedTest
  @MethodSource("kinds")
  void aModelThatComputesInHalfPrecisionTakesEveryMask(FreezeMask mask) {
    AdaptedModel model = onnx("bert-fp16").attach(mask);
    for (String name : model.graph().trainable()) {
      assertThat(model.graph().initializer(name).dtype()).as(name).isEqualTo(DType.FLOAT32);
    }
    assertThat(model.graph().trainable()).isNotEmpty();
    assertThat(changed(model).merge().maxOutputDifference()).isZero();
  }

  @Test
  void whatABatchNormMeasuresNeverTrains() {
    Set<String> all = names(onnx("resnet-bn").attach(FreezeMask.all()));
    assertThat(all).noneMatch(name -> name.contains("running_"));
    Graph graph = onnx("resnet-bn").graph();
    long measured = graph.parameters().stream().filter(n -> n.contains("running_")).count();
    assertThat(measured).isPositive();
    assertThat(all).hasSize((int) (graph.parameters().size() - measured));
    assertThatThrownBy(
            () ->
                onnx("resnet-bn")
                    .attach(
                        FreezeMask.named(
                            List.of("resnet.embedder.embedder.normalization.running_mean"))))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("normalization.running_mean'; the nearest are");
  }

  @Test
  void batchNormsAreNorms() {
    Set<String> expected =
        onnx("resnet-bn").graph().parameters().stream()
            .filter(n -> n.endsWith("normalization.weight") || n.endsWith("normalization.bias"))
            .collect(Collectors.toSet());
    assertThat(expected).isNotEmpty();
    assertThat(names(onnx("resnet-bn").attach(FreezeMask.norm()))).isEqualTo(expected);
  }

  @Test
  void theBiasOfAConvolutionIsOneWhateverItIsCalled() {
    Graph graph = onnx("resnet-folded").graph();
    Set<String> expected =
        graph.nodes().stream()
            .filter(n -> n.is("Conv") || n.is("Gemm"))
            .map(n -> n.requiredInput(2))
            .collect(Collectors.toSet());
    assertThat(expected).anyMatch(name -> name.startsWith("onnx::Conv"));
    assertThat(onnx("resnet-folded").attach(FreezeMask.bias()).graph().trainable())
        .isEqualTo(expected);
  }

  @ParameterizedTest
  @CsvSource({
    "bert-fp16, classifier.weight, classifier.bias",
    "sklearn-mlp, linear_1.weight, linear_1.bias",
    "resnet-bn, classifier.classifier.1.weight, classifier.classifier.1.bias",
  })
  void theHeadIsFoundBehindCastsAndSoftmax(String export, String weight, String bias) {
    assertThat(names(onnx(export).attach(FreezeMask.head())))
        .containsExactlyInAnyOrder(weight, bias);
  }

  static Stream<Object[]> absent() {
    return Stream.of(
        new Object[] {"bert-int8", FreezeMask.head(), "no linear layer makes the logits"},
        new Object[] {"llama", FreezeMask.bias(), "'bias' matches no weight"},
        new Object[] {"mlp784", FreezeMask.norm(), "'norm' matches no weight"},
        new Object[] {"mlp784", FreezeMask.topLayers(1), "layers are numbered"});
  }

  @ParameterizedTest
  @MethodSource("absent")
  void aKindThatTheModelLacksIsAnError(String export, FreezeMask mask, String message) {
    assertThatThrownBy(() -> onnx(export).attach(mask))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining(message);
  }

  @Test
  void onAnEncoderTheHeadThatTrainingAddsIsAllThatTrains(@TempDir Path folder) {
    PretrainedModel encoder = Checkpoints.open(checkpoint("bert-model"));
    AdaptedModel model = encoder.attach(FreezeMask.head());
    assertThat(model.graph().trainable()).isEmpty();
    model.addHead(new PooledHead(Pooling.MEAN, 3, 0), List.of("a", "b", "c"), 4);
    assertThat(model.graph().trainable()).containsExactly(PooledHead.WEIGHT, PooledHead.BIAS);
    model.save(folder.resolve("adapter"));
    assertSameValues(encoder.load(folder.resolve("adapter")), model);
  }

  @ParameterizedTest
  @ValueSource(strings = {"wte", "wte.weight", "lm_head", "lm_head.weight"})
  void aTiedWeightTrainsOnceByEitherName(String name, @TempDir Path folder) {
    AdaptedModel model = tied().attach(FreezeMask.named(List.of(name)));
    assertThat(model.adapter().tensors())
        .containsExactly(new AdapterTensor("wte.weight", "wte", "weight"));
    model.save(folder.resolve("adapter"));
    assertThat(
            SafeTensors.read(folder.resolve("adapter/adapter_model.safetensors"))
                .tensors()
                .keySet())
        .containsExactly(PREFIX + "wte.weight");
  }

  @Test
  void theGradientOfATiedWeightIsTheSumOverItsUses() {
    for (FreezeMask mask : List.of(FreezeMask.all(), FreezeMask.head())) {
      AdaptedModel model = tied().attach(mask);
      assertThat(model.graph().trainable()).containsExactly("wte.weight");
      FiniteDifferences.checkAll(
          model, Map.of("input_ids", Tensor.vector(1, 3, 0), "labels", Tensor.vector(2, 0, 1)));
    }
  }

  /** Scores of the next token from the present one alone, with one table for both. */
  private static PretrainedModel tied() {
    float[] table = new float[5 * 3];
    for (int i = 0; i < table.length; i++) {
      table[i] = 0.1f * (i % 7) - 0.3f;
    }
    GraphEditor editor = new GraphEditor("tied");
    editor.input(Value.of("input_ids", DType.INT64, "batch"));
    editor.initializer("wte.weight", Tensor.ofFloats(new long[] {5, 3}, table));
    String vectors = editor.node("/wte/Gather", "Gather", List.of("wte.weight", "input_ids"));
    String transposed =
        editor.node(
            "/lm_head/Transpose",
            "Transpose",
            List.of("wte.weight"),
            Map.of("perm", Attribute.ofInts(1, 0)));
    editor.add(
        Node.of(
            "/lm_head/MatMul",
            "MatMul",
            List.of(vectors, transposed),
            List.of(PooledHead.LOGITS),
            Map.of()));
    editor.output(Value.of(PooledHead.LOGITS, DType.FLOAT32, "batch", 5));
    return PretrainedModel.of(editor.build());
  }

  private static void assertSameValues(AdaptedModel actual, AdaptedModel expected) {
    assertThat(actual.graph().trainable()).isEqualTo(expected.graph().trainable());
    for (String name : expected.graph().trainable()) {
      Tensor value = expected.graph().initializer(name);
      assertThat(actual.graph().initializer(name).contentEquals(value)).as(name).isTrue();
    }
  }

  /** The model with every trained value moved a little. */
  private static AdaptedModel changed(AdaptedModel model) {
    Map<String, Tensor> values = new LinkedHashMap<>();
    for (String name : model.graph().trainable()) {
      Tensor old = model.graph().initializer(name);
      float[] moved = old.toFloats();
      for (int i = 0; i < moved.length; i++) {
        moved[i] += 0.01f * (i % 3 - 1);
      }
      values.put(name, Tensor.ofFloats(old.shape(), moved));
    }
    model.update(values);
    return model;
  }
}

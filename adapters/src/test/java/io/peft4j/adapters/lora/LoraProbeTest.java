package io.peft4j.adapters.lora;

import static io.peft4j.adapters.MethodCase.assertClose;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.peft4j.AdaptedModel;
import io.peft4j.PeftException;
import io.peft4j.RecipeException;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.DataProbe;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.GoldenBatches;
import io.peft4j.adapters.MethodCase;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.math.Matrix;
import io.peft4j.math.Qr;
import io.peft4j.math.Svd;
import io.peft4j.site.LinearSite;
import io.peft4j.site.Sites;
import io.peft4j.task.Loss;
import io.peft4j.train.Recipe;
import io.peft4j.train.Trainer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Starts that depend on data, by the properties that make them what they are. */
class LoraProbeTest {
  private static final MethodCase CASE = MethodCase.peft("lora-qv");
  private static final GoldenBatches BATCHES =
      GoldenBatches.read(MethodCase.training("dora").resolve("batches.safetensors"));
  private static final Lora LORA =
      Lora.rank(4)
          .on(
              Targets.named(
                  List.of("query", "value", "layer.0.output.dense", "layer.1.output.dense")));

  private static final DataProbe PROBE = BATCHES.probe(BATCHES.batches().size());

  private static AttachedAdapter started(LoraStart start) {
    Lora lora = LORA.init(start);
    return lora.started(lora.attach(CASE.base().graph(), "default", 0), PROBE);
  }

  @ParameterizedTest
  @EnumSource(names = {"EVA", "LORA_GA"})
  void theAdaptedModelStartsAsTheBase(LoraStart start) {
    Tensor logits = MethodCase.run(started(start).graph(), CASE.inputs()).get("logits");
    assertClose("logits", logits, CASE.io().get("logits_base"), 1e-5, 0);
  }

  @Test
  void evaSeesMoreOfTheInputsThanAnyDrawnDirections() {
    AttachedAdapter adapter = started(LoraStart.EVA);
    TrainedValues values = new TrainedValues(adapter);
    Random random = new Random(2);
    for (LinearSite layer : layers()) {
      Matrix a = Matrix.of(values.of(layer.path(), "lora_A.weight"));
      Matrix orthonormal = a.times(a.transposed()).minus(Matrix.identity(a.rows()));
      assertThat(orthonormal.norm()).isLessThan(1e-5);
      Matrix inputs = centred(layer);
      double seen = inputs.times(a.transposed()).norm();
      for (int i = 0; i < 20; i++) {
        double[] drawn = random.doubles((long) a.rows() * a.columns(), -1, 1).toArray();
        Matrix other = Qr.of(Matrix.of(a.rows(), a.columns(), drawn).transposed()).q();
        assertThat(inputs.times(other).norm()).isLessThan(seen);
      }
    }
  }

  @Test
  void evaSpreadsTheSameSumOfRanksAndKeepsScales() {
    AttachedAdapter adapter = started(LoraStart.EVA);
    Lora lora = (Lora) adapter.method();
    int sum = adapter.targets().stream().mapToInt(lora::rankOf).sum();
    assertThat(sum).isEqualTo(4 * adapter.targets().size());
    assertThat(adapter.targets().stream().map(lora::rankOf)).anyMatch(r -> r != 4);
    assertThat(adapter.targets())
        .allSatisfy(
            path -> {
              assertThat(lora.rankOf(path)).isBetween(1, 8);
              assertThat(lora.scale(path)).isCloseTo(LORA.scale(path), within(1e-12));
            });
  }

  /** Rows of real tokens that go into a layer, less their mean. */
  private static Matrix centred(LinearSite layer) {
    String input = layer.input();
    int size = Math.toIntExact(layer.inFeatures());
    GraphEditor editor = CASE.base().graph().edit().clearOutputs();
    Graph graph = editor.output(Value.of(input, DType.FLOAT32)).prune().build();
    double[] rows = new double[0];
    for (Map<String, Tensor> batch : BATCHES.batches()) {
      Map<String, Tensor> inputs = new LinkedHashMap<>(batch);
      inputs.keySet().retainAll(graph.requiredInputs());
      double[] x = MethodCase.run(graph, inputs).get(input).toDoubles();
      long[] mask = batch.get("attention_mask").toLongs();
      for (int i = 0; i < mask.length; i++) {
        if (mask[i] == 1) {
          double[] longer = Arrays.copyOf(rows, rows.length + size);
          System.arraycopy(x, i * size, longer, rows.length, size);
          rows = longer;
        }
      }
    }
    double[] mean = new double[size];
    for (int i = 0; i < rows.length; i++) {
      mean[i % size] += rows[i] * size / rows.length;
    }
    for (int i = 0; i < rows.length; i++) {
      rows[i] -= mean[i % size];
    }
    return Matrix.of(rows.length / size, size, rows);
  }

  private static List<LinearSite> layers() {
    Sites sites = CASE.base().sites();
    return LORA.targets().select(sites).stream().map(LinearSite.class::cast).toList();
  }

  @Test
  void aStepFromLoraGaGoesAlongTheGradientOfTheWeight() {
    Map<String, Matrix> whole = weightGradients();
    Map<String, Double> plain = alignments(LORA.attach(CASE.base().graph(), "default", 0), whole);
    Map<String, Double> along = alignments(started(LoraStart.LORA_GA), whole);
    along.forEach(
        (path, cosine) -> assertThat(cosine).as(path).isGreaterThan(plain.get(path) + 0.1));
  }

  private static Map<String, Matrix> weightGradients() {
    GraphEditor editor = CASE.base().graph().edit().freezeAll();
    layers().forEach(layer -> editor.train(layer.weight()));
    Map<String, Matrix> sums = new LinkedHashMap<>();
    try (TorchProgram program = compiled(editor.build())) {
      for (Map<String, Tensor> batch : BATCHES.batches()) {
        program.backward(batch, "loss"); // adds to the gradients
      }
      for (LinearSite layer : layers()) {
        sums.put(layer.path(), gradient(program, layer.weight()));
      }
    }
    return sums;
  }

  private static TorchProgram compiled(Graph graph) {
    return TorchEngine.compile(
        Loss.CROSS_ENTROPY.attach(graph, "logits"), CompileOptions.evaluation());
  }

  /** The cosine of what a small step of A and B does to each weight with the weight's gradient. */
  private static Map<String, Double> alignments(
      AttachedAdapter adapter, Map<String, Matrix> whole) {
    Map<String, Matrix> steps = new LinkedHashMap<>();
    TrainedValues values = new TrainedValues(adapter);
    try (TorchProgram program = compiled(adapter.graph())) {
      for (Map<String, Tensor> batch : BATCHES.batches()) {
        program.backward(batch, "loss");
      }
      for (String path : whole.keySet()) {
        Matrix a = Matrix.of(values.of(path, "lora_A.weight"));
        Matrix b = Matrix.of(values.of(path, "lora_B.weight"));
        Matrix ofA = gradient(program, path + ".lora_A.weight.default");
        Matrix ofB = gradient(program, path + ".lora_B.weight.default");
        steps.put(path, ofB.times(a).plus(b.times(ofA)));
      }
    }
    Map<String, Double> cosines = new LinkedHashMap<>();
    steps.forEach((path, step) -> cosines.put(path, cosine(step, whole.get(path))));
    return cosines;
  }

  private static Matrix gradient(TorchProgram program, String name) {
    return Matrix.of(program.parameters().gradient(name));
  }

  private static double cosine(Matrix one, Matrix other) {
    double[] a = one.values();
    double[] b = other.values();
    double product = 0;
    for (int i = 0; i < a.length; i++) {
      product += a[i] * b[i];
    }
    return product / (one.norm() * other.norm());
  }

  /** Trains as a user does, saves, and reads on the base as it is. */
  @ParameterizedTest
  @EnumSource(names = {"EVA", "LORA_GA"})
  void trainedItIsPlainLoraInTheFile(LoraStart start, @TempDir Path folder) {
    AdaptedModel model = CASE.base().attach(LORA.init(start));
    Recipe recipe = Recipe.builder().optEpochs(1).optBatchSize(4).optShuffle(false).build();
    Trainer.with(recipe).fit(model, BATCHES, null, Loss.CROSS_ENTROPY, "logits");
    Tensor expected = MethodCase.run(model.graph(), CASE.inputs()).get("logits");
    assertClose(
        "merged",
        MethodCase.run(model.merge().model().graph(), CASE.inputs()).get("logits"),
        expected,
        1e-5,
        0);
    model.save(folder.resolve("adapter"));
    AdaptedModel read = CASE.base().load(folder.resolve("adapter"));
    assertThat(((Lora) read.adapter().method()).init()).isEqualTo(LoraStart.DEFAULT);
    assertClose(
        "logits", MethodCase.run(read.graph(), CASE.inputs()).get("logits"), expected, 1e-5, 0);
  }

  @Test
  void loraGaNeedsRoomForTwiceTheRank() {
    Lora lora = LORA.ofRank(17).init(LoraStart.LORA_GA);
    AttachedAdapter attached = lora.attach(CASE.base().graph(), "default", 0);
    assertThatThrownBy(() -> lora.started(attached, PROBE))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("twice the rank");
  }

  @Test
  void allocatedRanksFollowTheSingularValuesOfTheGradients() {
    Lora lora = LORA.rankAllocation(RankAllocation.GRADIENT);
    AttachedAdapter adapter = lora.started(lora.attach(CASE.base().graph(), "default", 0), PROBE);
    Lora found = (Lora) adapter.method();
    assertThat(found.rankAllocation()).isEqualTo(RankAllocation.UNIFORM);
    Map<String, Matrix> gradients = weightGradients();
    List<GradientRanks.Layer> measured = new ArrayList<>();
    int spent = 0;
    int given = 0;
    for (LinearSite layer : layers()) {
      int cost = Math.toIntExact(layer.inFeatures() + layer.outFeatures());
      double[] singular = Svd.of(gradients.get(layer.path())).singular();
      measured.add(new GradientRanks.Layer(layer.path(), 4, cost, singular));
      spent += found.rankOf(layer.path()) * cost;
      given += 4 * cost;
      assertThat(found.scale(layer.path())).isCloseTo(LORA.scale(layer.path()), within(1e-12));
    }
    assertThat(found.rankPattern()).isEqualTo(GradientRanks.of(measured));
    assertThat(adapter.targets().stream().map(found::rankOf)).anyMatch(r -> r != 4);
    assertThat(spent).isLessThanOrEqualTo(given);
  }

  @Test
  void allocationLeavesEverythingElseAlone() {
    Lora lora = LORA.rankAllocation(RankAllocation.GRADIENT);
    AttachedAdapter before = lora.attach(CASE.base().graph(), "default", 0);
    AttachedAdapter after = lora.started(before, PROBE);
    Tensor logits = MethodCase.run(after.graph(), CASE.inputs()).get("logits");
    assertClose("logits", logits, CASE.io().get("logits_base"), 1e-5, 0);
    AttachedAdapter again = lora.started(before, PROBE);
    assertThat(after.method()).isEqualTo(again.method());
    after
        .tensors()
        .forEach(
            tensor ->
                assertThat(after.graph().initializer(tensor.initializer()).toFloats())
                    .containsExactly(again.graph().initializer(tensor.initializer()).toFloats()));
  }

  @Test
  void allocationAndLoraGaUseTheSameRanks() {
    Lora lora = LORA.rankAllocation(RankAllocation.GRADIENT).init(LoraStart.LORA_GA);
    AttachedAdapter adapter = lora.started(lora.attach(CASE.base().graph(), "default", 0), PROBE);
    Lora plain = LORA.rankAllocation(RankAllocation.GRADIENT);
    AttachedAdapter other = plain.started(plain.attach(CASE.base().graph(), "default", 0), PROBE);
    assertThat(((Lora) adapter.method()).rankPattern())
        .isEqualTo(((Lora) other.method()).rankPattern());
    Tensor logits = MethodCase.run(adapter.graph(), CASE.inputs()).get("logits");
    assertClose("logits", logits, CASE.io().get("logits_base"), 1e-5, 0);
  }

  @Test
  void evaDoesNotGoWithAllocation() {
    assertThatThrownBy(() -> LORA.init(LoraStart.EVA).rankAllocation(RankAllocation.GRADIENT))
        .isInstanceOf(RecipeException.class)
        .hasMessageContaining("rank_allocation");
  }

  /** PEFT leaves {@code init_lora_weights: eva} in the configuration of a trained adapter. */
  @Test
  void anEvaAdapterOfPeftIsTrainedOnFromWhereItIs(@TempDir Path folder) throws IOException {
    CASE.base().load(CASE.folder()).save(folder.resolve("adapter"));
    Path config = folder.resolve("adapter").resolve("adapter_config.json");
    String text = Files.readString(config);
    Files.writeString(
        config,
        text.replaceFirst("\"init_lora_weights\"\\s*:\\s*true", "\"init_lora_weights\": \"eva\""));
    assertThat(Files.readString(config)).isNotEqualTo(text);
    AdaptedModel read = CASE.base().load(folder.resolve("adapter"));
    read.start(PROBE);
    Tensor logits = MethodCase.run(read.graph(), CASE.inputs()).get("logits");
    assertClose("logits", logits, CASE.io().get("logits"), 1e-5, 0);
  }
}

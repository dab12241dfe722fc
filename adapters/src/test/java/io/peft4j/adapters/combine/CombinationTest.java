package io.peft4j.adapters.combine;

import static io.peft4j.adapters.MethodCase.assertClose;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.peft4j.CheckpointFormatException;
import io.peft4j.PeftException;
import io.peft4j.RecipeException;
import io.peft4j.UnsupportedModelException;
import io.peft4j.adapters.MethodCase;
import io.peft4j.adapters.peft.PeftFolder;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import io.peft4j.math.Matrix;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.assertj.core.data.Offset;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** PEFT's own results of {@code add_weighted_adapter}, and what must hold for any. */
class CombinationTest {
  private static final Path ROOT = Path.of("src/test/resources/methods/weighted");
  private static final Path A = ROOT.resolve("a");
  private static final Path B = ROOT.resolve("b");
  private static final Path C = ROOT.resolve("c");
  private static final String QUERY =
      "base_model.model.bert.encoder.layer.0.attention.self.query.lora_A.weight";

  @TempDir Path temp;

  static Stream<JsonNode> golden() {
    JsonNode cases = MethodCase.json(ROOT.resolve("index.json")).get("cases");
    return StreamSupport.stream(cases.spliterator(), false);
  }

  static Stream<JsonNode> exact() {
    return golden().filter(c -> !c.get("case").asText().equals("dare_linear_seed"));
  }

  private static PeftFolder combined(JsonNode golden) {
    List<Path> folders = new ArrayList<>();
    golden.get("adapters").forEach(name -> folders.add(ROOT.resolve(name.asText())));
    List<Double> weights = new ArrayList<>();
    golden.get("weights").forEach(weight -> weights.add(weight.asDouble()));
    JsonNode density = golden.path("density");
    JsonNode sign = golden.path("majority_sign_method");
    JsonNode rank = golden.path("svd_rank");
    return new Combination(
            CombinationType.valueOf(
                golden.get("combination_type").asText().toUpperCase(Locale.ROOT)),
            weights,
            density.isMissingNode() ? null : density.asDouble(),
            sign.isMissingNode()
                ? null
                : MajoritySign.valueOf(sign.asText().toUpperCase(Locale.ROOT)),
            rank.isMissingNode() ? null : rank.asInt(),
            null)
        .of(folders);
  }

  private static Path folder(JsonNode golden) {
    return ROOT.resolve(golden.get("case").asText());
  }

  @Test
  void everyCaseIsThere() {
    assertThat(golden()).hasSize(13);
  }

  /** Where no singular vectors are, whose signs are free. */
  static Stream<JsonNode> ofFactors() {
    return exact().filter(c -> !c.get("combination_type").asText().endsWith("svd"));
  }

  @ParameterizedTest
  @MethodSource("ofFactors")
  void tensorsAreThoseOfPeft(JsonNode golden) {
    Map<String, Tensor> expected =
        SafeTensors.read(folder(golden).resolve("adapter_model.safetensors")).tensors();
    Map<String, Tensor> actual = combined(golden).tensors();
    assertThat(actual.keySet()).containsExactlyInAnyOrderElementsOf(expected.keySet());
    expected.forEach((key, tensor) -> assertClose(key, actual.get(key), tensor, 1e-6, 1e-6));
  }

  @ParameterizedTest
  @MethodSource("exact")
  void updatesAreThoseOfPeft(JsonNode golden) {
    Map<String, Tensor> expected =
        SafeTensors.read(folder(golden).resolve("delta.safetensors")).tensors();
    Map<String, Matrix> actual = updates(combined(golden));
    assertThat(actual.keySet()).containsExactlyInAnyOrderElementsOf(expected.keySet());
    expected.forEach((path, delta) -> assertNear(path, actual.get(path), Matrix.of(delta), 2e-6));
  }

  @ParameterizedTest
  @MethodSource("exact")
  void theWrittenFolderLoadsAndGivesPeftsLogits(JsonNode golden) {
    PeftFolder result = combined(golden);
    result.write(temp.resolve("out"));
    Map<String, Tensor> io =
        new LinkedHashMap<>(SafeTensors.read(folder(golden).resolve("io.safetensors")).tensors());
    io.remove("labels");
    Tensor logits = io.remove("logits");
    Map<String, Tensor> outputs =
        MethodCase.run(MethodCase.bert().load(temp.resolve("out")).graph(), io);
    assertClose("logits", outputs.get("logits"), logits, 1e-5, 0);
  }

  @ParameterizedTest
  @MethodSource("exact")
  void theConfigurationIsThatOfPeft(JsonNode golden) {
    combined(golden).write(temp.resolve("out"));
    assertThat(MethodCase.json(temp.resolve("out/adapter_config.json")))
        .isEqualTo(MethodCase.json(folder(golden).resolve("adapter_config.json")));
  }

  /** With density 0.5 an entry of the sum is, for each adapter, left out or doubled. */
  @Test
  void dareKeepsTheMeanAndTheShare() {
    PeftFolder result = combination(CombinationType.DARE_LINEAR, 0.5, null, 7L, 1.0).of(List.of(A));
    PeftFolder whole = combination(CombinationType.LINEAR, null, null, null, 1.0).of(List.of(A));
    int kept = 0;
    int all = 0;
    for (Map.Entry<String, Tensor> entry : result.tensors().entrySet()) {
      double[] thin = entry.getValue().toDoubles();
      double[] full = whole.tensors().get(entry.getKey()).toDoubles();
      for (int i = 0; i < thin.length; i++) {
        all++;
        if (thin[i] != 0) {
          kept++;
          assertThat(thin[i]).isEqualTo((double) (float) (2 * full[i]));
        }
      }
    }
    assertThat((double) kept / all).isBetween(0.45, 0.55); // 1024 draws: 3 deviations are 0.047
  }

  @Test
  void dareIsDecidedByItsSeed() {
    PeftFolder one = combination(CombinationType.DARE_TIES, 0.5, null, 1L, 1, 1).of(List.of(A, B));
    PeftFolder same = combination(CombinationType.DARE_TIES, 0.5, null, 1L, 1, 1).of(List.of(A, B));
    PeftFolder other =
        combination(CombinationType.DARE_TIES, 0.5, null, 2L, 1, 1).of(List.of(A, B));
    assertThat(one.tensors().get(QUERY).contentEquals(same.tensors().get(QUERY))).isTrue();
    assertThat(one.tensors().get(QUERY).contentEquals(other.tensors().get(QUERY))).isFalse();
  }

  /** Statistics of the golden case: how many entries neither adapter keeps, and the norm. */
  @Test
  void dareHasTheStatisticsOfPeft() {
    JsonNode golden =
        golden().filter(c -> c.get("case").asText().equals("dare_linear_seed")).findFirst().get();
    double[] expected = statistics(PeftFolder.read(folder(golden)));
    double[] actual = statistics(combined(golden));
    assertThat(actual[0]).isCloseTo(expected[0], Offset.offset(0.06));
    assertThat(actual[1] / expected[1]).isBetween(0.85, 1.15);
  }

  private static double[] statistics(PeftFolder adapter) {
    double zeros = 0;
    double squares = 0;
    double count = 0;
    for (Tensor tensor : adapter.tensors().values()) {
      for (double value : tensor.toDoubles()) {
        zeros += value == 0 ? 1 : 0;
        squares += value * value;
        count++;
      }
    }
    return new double[] {zeros / count, Math.sqrt(squares)};
  }

  @Test
  void catIsTheSumOfTheUpdates() {
    Map<String, Matrix> a = updates(PeftFolder.read(A));
    Map<String, Matrix> c = updates(PeftFolder.read(C));
    updates(combination(CombinationType.CAT, null, null, null, 0.3, -2).of(List.of(A, C)))
        .forEach(
            (path, update) ->
                assertNear(
                    path, update, a.get(path).scaled(0.3).plus(c.get(path).scaled(-2)), 1e-6));
  }

  @Test
  void svdOfFullRankIsTheSumOfTheUpdates() {
    Map<String, Matrix> cat =
        updates(combination(CombinationType.CAT, null, null, null, 0.3, -2).of(List.of(A, C)));
    updates(combination(CombinationType.SVD, null, 64, null, 0.3, -2).of(List.of(A, C)))
        .forEach((path, update) -> assertNear(path, update, cat.get(path), 1e-6));
  }

  @Test
  void oneAdapterOfWeightOneStaysTheSameUpdate() {
    Map<String, Matrix> before = updates(PeftFolder.read(B));
    for (CombinationType type : List.of(CombinationType.LINEAR, CombinationType.SVD)) {
      updates(combination(type, null, null, null, 1).of(List.of(B)))
          .forEach((path, update) -> assertNear(path, update, before.get(path), 1e-6));
    }
  }

  @ParameterizedTest
  @EnumSource(CombinationType.class)
  void everyTypeGivesAnAdapterThatLoads(CombinationType type) {
    Path twin = copy(A, "twin");
    change(
        twin,
        tensors ->
            tensors.replaceAll(
                (key, t) -> {
                  double[] values = t.toDoubles();
                  Arrays.setAll(values, i -> -2 * values[i]);
                  return Tensor.ofDoubles(t.shape(), values).cast(t.dtype());
                }));
    combination(type, type.prunes() ? 0.6 : null, null, null, 1, 0.5)
        .of(List.of(A, twin))
        .write(temp.resolve("out"));
    assertThat(MethodCase.bert().load(temp.resolve("out")).adapter().targets()).hasSize(4);
  }

  @Test
  void modulesThatOnlySomeHaveAndRanksThatDifferAreKept() throws IOException {
    Path narrow = copy(C, "narrow");
    change(
        narrow,
        tensors -> tensors.keySet().removeIf(key -> !key.contains("0.attention.self.query")));
    configure(
        narrow, Map.of("layers_to_transform", List.of(0), "target_modules", List.of("query")));
    PeftFolder result =
        combination(CombinationType.CAT, null, null, null, 1, 1).of(List.of(A, narrow));
    result.write(temp.resolve("out"));
    assertThat(result.tensors().get(QUERY).dim(0)).isEqualTo(6);
    assertThat(result.tensors().get(QUERY.replace("layer.0", "layer.1")).dim(0)).isEqualTo(4);
    Map<String, Tensor> inputs = inputs();
    Map<String, Matrix> sum = updates(PeftFolder.read(A));
    updates(PeftFolder.read(narrow))
        .forEach((path, update) -> sum.merge(path, update, Matrix::plus));
    updates(result).forEach((path, update) -> assertNear(path, update, sum.get(path), 1e-6));
    assertThat(MethodCase.run(MethodCase.bert().load(temp.resolve("out")).graph(), inputs))
        .containsKey("logits");
  }

  @Test
  void theMeanIsTakenOfEveryTensorOfAnyMethod() {
    Path ia3 = Path.of("src/test/resources/methods/peft/ia3-bert");
    Path twin = copy(ia3, "twin");
    change(twin, tensors -> tensors.replaceAll((k, t) -> Tensor.zeros(t.dtype(), t.shape())));
    PeftFolder mean =
        combination(CombinationType.AVERAGE, null, null, null, 3, 1).of(List.of(ia3, twin));
    PeftFolder.read(ia3)
        .tensors()
        .forEach(
            (key, tensor) -> {
              double[] expected = tensor.toDoubles();
              Arrays.setAll(expected, i -> 0.75 * expected[i]);
              assertClose(
                  key,
                  mean.tensors().get(key),
                  Tensor.ofDoubles(tensor.shape(), expected),
                  1e-7,
                  0);
            });
  }

  @Test
  void valuesOutOfRangeAreRefusedByName() {
    assertRefused(
        "density is needed", () -> combination(CombinationType.TIES, null, null, null, 1));
    assertRefused("density must be", () -> combination(CombinationType.TIES, 1.5, null, null, 1));
    assertRefused("density must be", () -> combination(CombinationType.TIES, 0.0, null, null, 1));
    assertRefused(
        "density has no meaning", () -> combination(CombinationType.CAT, 0.5, null, null, 1));
    assertRefused("rank has no meaning", () -> combination(CombinationType.TIES, 0.5, 3, null, 1));
    assertRefused("rank must be", () -> combination(CombinationType.SVD, null, 0, null, 1));
    assertRefused("seed has no meaning", () -> combination(CombinationType.SVD, null, 2, 1L, 1));
    assertRefused(
        "weights must be", () -> combination(CombinationType.SVD, null, 2, null, Double.NaN));
    assertRefused(
        "sum above 0", () -> combination(CombinationType.AVERAGE, null, null, null, 1, -1));
    assertRefused(
        "majority-sign has no meaning",
        () ->
            new Combination(
                CombinationType.LINEAR, List.of(1.0), null, MajoritySign.TOTAL, null, null));
  }

  private static void assertRefused(String part, Runnable work) {
    assertThatThrownBy(work::run).isInstanceOf(RecipeException.class).hasMessageContaining(part);
  }

  @Test
  void adaptersThatDoNotFitAreRefusedWithTheWayOut() {
    assertFails(PeftException.class, "use cat or svd", CombinationType.LINEAR, A, C);
    Path methods = Path.of("src/test/resources/methods/peft");
    assertFails(
        UnsupportedModelException.class,
        "use_dora",
        CombinationType.CAT,
        A,
        methods.resolve("dora-bert"));
    assertFails(
        UnsupportedModelException.class,
        "IA3",
        CombinationType.CAT,
        A,
        methods.resolve("ia3-bert"));
    assertFails(
        UnsupportedModelException.class,
        "pissa",
        CombinationType.CAT,
        A,
        methods.resolve("lora-pissa"));
    assertFails(PeftException.class, "'lora_alpha'", CombinationType.AVERAGE, A, B);
    Path wide = copy(A, "wide");
    change(wide, t -> t.put(QUERY, Tensor.ofFloats(new long[] {4, 8}, new float[32])));
    assertFails(PeftException.class, "one base model", CombinationType.CAT, A, wide);
  }

  @Test
  void damagedFilesAreNamed() throws IOException {
    assertFails(CheckpointFormatException.class, "holds no adapter", CombinationType.CAT, temp);
    Path nan = copy(A, "nan");
    change(
        nan,
        t -> {
          float[] values = t.get(QUERY).toFloats();
          values[5] = Float.NaN;
          t.put(QUERY, Tensor.ofFloats(new long[] {4, 32}, values));
        });
    assertFails(CheckpointFormatException.class, "holds NaN", CombinationType.CAT, A, nan);
    Path missing = copy(A, "missing");
    change(missing, t -> t.remove(QUERY));
    assertFails(CheckpointFormatException.class, "lacks the tensor", CombinationType.CAT, missing);
    Path rank = copy(A, "rank");
    configure(rank, Map.of("r", 3));
    assertFails(CheckpointFormatException.class, "says 3", CombinationType.CAT, rank);
    Path empty = copy(A, "empty");
    change(empty, Map::clear);
    assertFails(CheckpointFormatException.class, "no tensor of LoRA", CombinationType.CAT, empty);
    Path broken = copy(A, "broken");
    Files.writeString(broken.resolve("adapter_config.json"), "{");
    assertFails(CheckpointFormatException.class, "no valid JSON", CombinationType.CAT, broken);
  }

  @Test
  void adaptersOfDifferentBaseModelsAreRefused() throws IOException {
    Path one = copy(A, "one");
    Path other = copy(B, "other");
    String notes = "{\"labels\": [], \"provenance\": {\"baseSha256\": \"%s\"}}";
    Files.writeString(one.resolve("peft4j.json"), notes.formatted("11"));
    Files.writeString(other.resolve("peft4j.json"), notes.formatted("22"));
    assertFails(PeftException.class, "different weights", CombinationType.CAT, one, other);
  }

  private static void assertFails(
      Class<? extends Throwable> kind, String part, CombinationType type, Path... folders) {
    double[] ones = new double[folders.length];
    Arrays.fill(ones, 1);
    assertThatThrownBy(() -> combination(type, null, null, null, ones).of(List.of(folders)))
        .isInstanceOf(kind)
        .hasMessageContaining(part);
  }

  private static Combination combination(
      CombinationType type,
      @Nullable Double density,
      @Nullable Integer rank,
      @Nullable Long seed,
      double... weights) {
    List<Double> all = Arrays.stream(weights).boxed().toList();
    return new Combination(type, all, density, null, rank, seed);
  }

  private static Map<String, Matrix> updates(PeftFolder folder) {
    Map<String, Matrix> updates = new HashMap<>();
    LoraFolder.of(folder)
        .modules()
        .forEach((module, factors) -> updates.put(LoraFolder.path(module), factors.update()));
    return updates;
  }

  private static void assertNear(String what, Matrix actual, Matrix expected, double limit) {
    assertThat(actual.minus(expected).norm()).as(what).isLessThan(limit * (1 + expected.norm()));
  }

  private static Map<String, Tensor> inputs() {
    Map<String, Tensor> io =
        new LinkedHashMap<>(SafeTensors.read(ROOT.resolve("cat/io.safetensors")).tensors());
    io.keySet().removeAll(List.of("labels", "logits"));
    return io;
  }

  private Path copy(Path folder, String name) {
    Path copy = temp.resolve(name);
    PeftFolder.read(folder).write(copy);
    return copy;
  }

  private static void change(Path folder, Consumer<Map<String, Tensor>> change) {
    Path file = folder.resolve("adapter_model.safetensors");
    Map<String, Tensor> tensors = new TreeMap<>(SafeTensors.read(file).tensors());
    change.accept(tensors);
    SafeTensors.write(file, tensors, Map.of());
  }

  private static void configure(Path folder, Map<String, Object> fields) throws IOException {
    Path file = folder.resolve("adapter_config.json");
    Map<String, Object> all = new TreeMap<>(fields);
    MethodCase.json(file).properties().forEach(e -> all.putIfAbsent(e.getKey(), e.getValue()));
    Files.writeString(file, new ObjectMapper().writeValueAsString(all));
  }
}

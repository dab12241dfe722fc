package io.peft4j.adapters.adapterhub;

import io.peft4j.AdaptedModel;
import io.peft4j.Checkpoints;
import io.peft4j.adapters.FiniteDifferences;
import io.peft4j.adapters.MethodCase;
import io.peft4j.graph.Graph;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Every method of AdapterHub against the library's own numbers. */
class GoldenAdapterHubTest {
  private static final Path EXPORT = Path.of("bert.onnx");

  @TempDir static Path work;
  @TempDir Path folder;

  @BeforeAll
  static void export() {
    MethodCase.bert().save(work.resolve(EXPORT));
  }

  static Stream<String> cases() {
    return HubCase.all();
  }

  @ParameterizedTest
  @MethodSource("cases")
  void outputsLossGradientsAndFilesAreThoseOfTheLibrary(String name) {
    HubCase golden = HubCase.of(name);
    AdaptedModel adapted = golden.adapted();
    golden.assertOutputs(adapted);
    golden.assertGradients(adapted);
    HubCase.assertSavedAlike(golden.folder(), adapted, folder.resolve("saved"));
  }

  @ParameterizedTest
  @MethodSource("cases")
  void onAnExportOfTheModelTheyAreTheSame(String name) {
    HubCase golden = HubCase.of(name);
    golden.assertOutputs(golden.on(Checkpoints.open(work.resolve(EXPORT))));
  }

  @ParameterizedTest
  @MethodSource("cases")
  void gradientsAgreeWithFiniteDifferencesInDoublePrecision(String name) {
    HubCase golden = HubCase.of(name);
    FiniteDifferences.checkSome(golden.golden(), golden.adapted(), 1);
  }

  @ParameterizedTest
  @ValueSource(strings = {"lora", "lora-all", "vera"})
  void mergedWeightsAndLogitsAreThoseOfTheLibrary(String name) {
    HubCase golden = HubCase.of(name);
    Graph merged = golden.adapted().merge().model().graph();
    MethodCase.assertClose(
        "logits",
        MethodCase.run(merged, golden.inputs()).get("logits"),
        golden.io().get("logits_merged"),
        HubCase.TOLERANCE,
        0);
    SafeTensors.read(golden.folder().resolve("merged.safetensors"))
        .tensors()
        .forEach(
            (key, weight) ->
                MethodCase.assertClose(key, merged.initializer(key), weight, HubCase.TOLERANCE, 0));
  }

  @Test
  void ia3MergesExactlyWhereTheLibraryLeavesTheBiasUnscaled() {
    HubCase golden = HubCase.of("ia3");
    Graph merged = golden.adapted().merge().model().graph();
    MethodCase.assertClose(
        "logits",
        MethodCase.run(merged, golden.inputs()).get("logits"),
        golden.io().get("logits"),
        HubCase.TOLERANCE,
        0);
  }
}

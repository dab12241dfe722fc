package io.peft4j.adapters.adapterhub;

import static org.assertj.core.api.Assertions.assertThat;

import io.peft4j.AdaptedModel;
import io.peft4j.Checkpoints;
import io.peft4j.adapters.FiniteDifferences;
import io.peft4j.adapters.MethodCase;
import io.peft4j.adapters.bottleneck.AdapterDrop;
import io.peft4j.adapters.composition.AdapterFusion;
import io.peft4j.adapters.composition.Mixing;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
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

  private static final String DIREFT = "direft";

  static Stream<String> cases() {
    return HubCase.all().filter(name -> !name.equals(DIREFT));
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

  @Test
  void direftIsReadAsTheLibraryReadsItSinceItsConfigurationDoesNotTellItFromNoreft() {
    HubCase golden = HubCase.of(DIREFT);
    AdaptedModel adapted = golden.adapted();
    golden.assertLogits(adapted, "logits_reloaded");
    HubCase.assertSavedAlike(golden.folder(), adapted, folder.resolve("saved"));
  }

  @Test
  void direftIsAsItWasTrainedWhereTheConfigurationSaysSo() throws IOException {
    HubCase golden = HubCase.of(DIREFT);
    Path said = HubCase.copy(golden.folder(), folder.resolve("said"));
    Path config = said.resolve("adapter_config.json");
    Files.writeString(
        config,
        Files.readString(config).replace("\"r\": 2", "\"r\": 2, \"subtract_projection\": false"));
    AdaptedModel adapted = MethodCase.bert().load(said);
    golden.assertOutputs(adapted);
    golden.assertGradients(adapted);
    FiniteDifferences.checkSome(golden.golden(), adapted, 1);
  }

  @Test
  void layersLeftOutAfterTrainingGiveWhatTheLibraryGives() {
    HubCase golden = HubCase.of("adapterdrop");
    AdaptedModel whole = golden.adapted();
    AdaptedModel fewer = whole.with(AdapterDrop.without(whole.adapter(), List.of(0)));
    golden.assertLogits(fewer, "logits_leave_out_0");
    fewer.save(folder.resolve("fewer"));
    golden.assertLogits(MethodCase.bert().load(folder.resolve("fewer")), "logits_skip_0");
  }

  @Test
  void adaptersThatWereTrainedApartAreFused() {
    HubCase golden = HubCase.of("fusion-dynamic");
    AdaptedModel whole = golden.adapted();
    AdaptedModel task = MethodCase.bert().load(golden.folder().resolve("task"));
    AdaptedModel other = MethodCase.bert().load(golden.folder().resolve("other"));
    AdaptedModel fused =
        task.with(
            AdapterFusion.fuse(List.of(task.adapter(), other.adapter()), Mixing.DYNAMIC, false, 4));
    assertThat(fused.graph().trainable()).hasSize(10).allMatch(n -> n.contains("fusion_layer"));
    Map<String, Tensor> mixing = new HashMap<>();
    fused.graph().trainable().forEach(n -> mixing.put(n, whole.graph().initializer(n)));
    fused.update(mixing);
    golden.assertLogits(fused, "logits");
    fused.save(folder.resolve("fused"));
    golden.assertLogits(MethodCase.bert().load(folder.resolve("fused")), "logits");
  }

  @Test
  void aFileOfTheBareEncoderFitsTheModelWithAHeadAndKeepsItsKeys() throws IOException {
    HubCase golden = HubCase.of("seq_bn");
    Path bare = HubCase.copy(golden.folder(), folder.resolve("bare"));
    Path config = bare.resolve("adapter_config.json");
    Files.writeString(
        config, Files.readString(config).replace("BertForSequenceClassification", "BertModel"));
    Map<String, Tensor> tensors = new HashMap<>();
    SafeTensors.read(bare.resolve("adapter.safetensors"))
        .tensors()
        .forEach((key, tensor) -> tensors.put(key.substring("bert.".length()), tensor));
    SafeTensors.write(bare.resolve("adapter.safetensors"), tensors, Map.of());
    AdaptedModel adapted = MethodCase.bert().load(bare);
    golden.assertOutputs(adapted);
    HubCase.assertSavedAlike(bare, adapted, folder.resolve("saved"));
  }
}

package io.peft4j.adapters.adapterhub;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.CheckpointFormatException;
import io.peft4j.Checkpoints;
import io.peft4j.PeftException;
import io.peft4j.UnsupportedModelException;
import io.peft4j.adapters.MethodCase;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Damaged folders of AdapterHub: each an error that names file, place and remedy. */
class AdapterHubDamageTest {
  private static final String FIRST = "bert.encoder.layer.0.output.adapters.task.adapter_up.weight";

  @TempDir Path work;

  private Path adapter(String name) {
    return HubCase.copy(HubCase.of(name).folder(), work.resolve(name));
  }

  private static void assertRefused(
      Path folder, Class<? extends PeftException> kind, String... parts) {
    assertThatThrownBy(() -> MethodCase.bert().load(folder))
        .isInstanceOf(kind)
        .satisfies(e -> assertThat(e.getMessage()).contains(parts));
  }

  private static void edit(Path file, String from, String to) throws IOException {
    String text = Files.readString(file);
    assertThat(text).contains(from);
    Files.writeString(file, text.replace(from, to));
  }

  private static void change(Path folder, String key, Tensor value) {
    Path file = folder.resolve("adapter.safetensors");
    Map<String, Tensor> tensors = new LinkedHashMap<>(SafeTensors.read(file).tensors());
    if (value == null) {
      tensors.remove(key);
    } else {
      tensors.put(key, value);
    }
    SafeTensors.write(file, tensors, Map.of());
  }

  @Test
  void aMissingTensorIsNamed() {
    Path folder = adapter("seq_bn");
    change(folder, FIRST, null);
    assertRefused(folder, CheckpointFormatException.class, "adapter.safetensors", FIRST);
  }

  @Test
  void aTensorWithoutAPlaceIsNamed() {
    Path folder = adapter("seq_bn");
    change(folder, FIRST.replace("layer.0", "layer.7"), Tensor.zeros(DType.FLOAT32, 32, 8));
    assertRefused(folder, CheckpointFormatException.class, "layer.7", "no place");
  }

  @Test
  void anotherShapeIsNamedWithBoth() {
    Path folder = adapter("seq_bn");
    change(folder, FIRST, Tensor.zeros(DType.FLOAT32, 32, 9));
    assertRefused(folder, CheckpointFormatException.class, FIRST, "[32, 9]", "[32, 8]");
  }

  @Test
  void valuesThatAreNoNumbersAreNamed() {
    Path folder = adapter("seq_bn");
    float[] values = new float[256];
    values[77] = Float.NaN;
    change(folder, FIRST, Tensor.ofFloats(new long[] {32, 8}, values));
    assertRefused(folder, CheckpointFormatException.class, FIRST, "NaN");
  }

  @Test
  void copiesOfOneTensorThatDifferAreRefused() {
    Path folder = adapter("prefix_tuning_flat");
    String key =
        "bert.encoder.layer.1.attention.self.prefix_tuning.pool.prefix_tunings.task.self_prefix.control_trans";
    change(folder, key, Tensor.zeros(DType.FLOAT32, 512));
    assertRefused(folder, CheckpointFormatException.class, "control_trans", "other values");
  }

  @Test
  void aPickleIsRefusedWithTheWayOut() throws IOException {
    Path folder = adapter("seq_bn");
    Files.delete(folder.resolve("adapter.safetensors"));
    Files.write(folder.resolve("pytorch_adapter.bin"), new byte[] {1});
    assertRefused(folder, CheckpointFormatException.class, "pickle", "use_safetensors=True");
  }

  @Test
  void missingWeightsAreNamed() throws IOException {
    Path folder = adapter("seq_bn");
    Files.delete(folder.resolve("adapter.safetensors"));
    assertRefused(folder, CheckpointFormatException.class, "has no adapter.safetensors");
  }

  @Test
  void aHeadWithoutWeightsIsNamed() throws IOException {
    Path folder = adapter("seq_bn-head");
    Files.delete(folder.resolve("model_head.safetensors"));
    assertRefused(folder, CheckpointFormatException.class, "head_config.json");
  }

  @Test
  void anotherModelTypeIsNamedWithBoth() throws IOException {
    Path folder = adapter("seq_bn");
    edit(
        folder.resolve("adapter_config.json"), "\"bert\",\n  \"name\"", "\"roberta\",\n  \"name\"");
    assertRefused(folder, UnsupportedModelException.class, "'roberta'", "'bert'");
  }

  @Test
  void anotherHiddenSizeIsNamedWithBoth() throws IOException {
    Path folder = adapter("seq_bn");
    edit(folder.resolve("adapter_config.json"), "\"hidden_size\": 32", "\"hidden_size\": 768");
    assertRefused(folder, CheckpointFormatException.class, "768", "32");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "seq_bn | \"cross_adapter\": false | \"cross_adapter\": true | cross_adapter",
        "seq_bn | \"inv_adapter\": null | \"inv_adapter\": \"odd\" | inv_adapter",
        "seq_bn | \"scaling\": 1.0 | \"scaling\": \"other\" | scaling",
        "seq_bn | \"residual_before_ln\": true | \"residual_before_ln\": \"x\" |"
            + " residual_before_ln",
        "seq_bn | \"non_linearity\": \"relu\" | \"non_linearity\": \"relux\" | relux",
        "seq_bn | \"leave_out\": [] | \"leave_out\": [5] | leave_out",
        "seq_bn | \"reduction_factor\": 4 | \"reduction_factor\": -1 | reduction_factor",
        "seq_bn | \"dropout\": 0.0 | \"dropout\": 1.5 | dropout",
        "seq_bn | \"config\": { | \"config\": {\"architecture\": \"odd\", | architecture",
        "compacter | \"phm_dim\": 4 | \"phm_dim\": 3 | phm_dim",
        "lora | \"dtype\": null | \"dtype\": \"float16\" | dtype",
        "lora | \"composition_mode\": \"add\" | \"composition_mode\": \"other\" | composition_mode",
        "lora | \"r\": 4 | \"r\": 0 | r must",
        "loreft | \"layers\": \"all\" | \"layers\": [9] | layers",
        "prompt_tuning | \"combine\": \"prefix\" | \"combine\": \"suffix\" | combine",
        "seq_bn | \"name\": \"task\" | \"named\": \"task\" | name"
      })
  void aFieldThatCannotBeHonouredIsNamed(String name, String from, String to, String field)
      throws IOException {
    Path folder = adapter(name);
    edit(folder.resolve("adapter_config.json"), from, to);
    assertRefused(folder, PeftException.class, "adapter_config.json", field);
  }

  @Test
  void unknownFieldsAreKept() throws IOException {
    Path folder = adapter("seq_bn");
    edit(
        folder.resolve("adapter_config.json"),
        "\"config\": {",
        "\"of_later\": 7, \"config\": {\"new_knob\": [1, 2],");
    MethodCase.bert().load(folder).save(work.resolve("again"));
    assertThat(MethodCase.json(work.resolve("again/adapter_config.json")))
        .isEqualTo(MethodCase.json(folder.resolve("adapter_config.json")));
  }

  @Test
  void aFusionWithoutOneOfItsAdaptersNamesIt() throws IOException {
    Path folder = adapter("fusion-dynamic");
    Files.delete(folder.resolve("other/adapter_config.json"));
    assertRefused(folder, CheckpointFormatException.class, "'other'", "there is no folder");
  }

  @Test
  void aFusionIsFoundByItsOwnFolderToo() {
    HubCase golden = HubCase.of("fusion-static");
    golden.assertLogits(MethodCase.bert().load(golden.folder().resolve("fusion")), "logits");
  }

  @Test
  void aModelWithoutTransformerLayersIsRefused() {
    Path folder = HubCase.of("seq_bn").folder();
    Path network = Path.of("../loaders/src/test/resources/onnx/mlp784/model.onnx");
    assertThatThrownBy(() -> Checkpoints.open(network).load(folder))
        .isInstanceOf(PeftException.class);
  }
}

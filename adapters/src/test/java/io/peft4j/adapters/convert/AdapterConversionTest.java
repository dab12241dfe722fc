package io.peft4j.adapters.convert;

import static io.peft4j.adapters.MethodCase.assertClose;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.AdaptedModel;
import io.peft4j.UnsupportedModelException;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.MethodCase;
import io.peft4j.adapters.hublora.HubLora;
import io.peft4j.adapters.ia3.Ia3;
import io.peft4j.adapters.lora.Lora;
import io.peft4j.format.Formats;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class AdapterConversionTest {
  private static final Path HUB = Path.of("src/test/resources/methods/adapterhub");

  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(strings = {"lora", "lora-all"})
  void loraOfAdapterHubIsThatOfPeftAndComesBack(String name) {
    Map<String, Tensor> io =
        SafeTensors.read(HUB.resolve(name).resolve("io.safetensors")).tensors();
    AdaptedModel converted = AdapterConversion.toPeft(MethodCase.bert().load(HUB.resolve(name)));
    converted.save(folder.resolve("peft"));
    assertThat(Formats.adapter(folder.resolve("peft")).name()).isEqualTo("peft");
    AdaptedModel read = MethodCase.bert().load(folder.resolve("peft"));
    assertClose("logits", logits(read, io), io.get("logits"), 1e-5, 0);

    AdapterConversion.toAdapterHub(read).save(folder.resolve("hub"));
    assertThat(Formats.adapter(folder.resolve("hub")).name()).isEqualTo("adapterhub");
    assertClose(
        "logits",
        logits(MethodCase.bert().load(folder.resolve("hub")), io),
        io.get("logits"),
        1e-5,
        0);
    Map<String, Tensor> before =
        SafeTensors.read(HUB.resolve(name).resolve("adapter.safetensors")).tensors();
    Map<String, Tensor> after =
        SafeTensors.read(folder.resolve("hub/adapter.safetensors")).tensors();
    before.forEach(
        (key, tensor) -> {
          String renamed = key.replace(".task.", ".default.");
          assertThat(after).containsKey(renamed);
          assertThat(after.get(renamed).contentEquals(tensor)).as(key).isTrue();
        });
  }

  @Test
  void ia3OfAdapterHubIsThatOfPeftAndComesBack() {
    Map<String, Tensor> io = SafeTensors.read(HUB.resolve("ia3/io.safetensors")).tensors();
    AdaptedModel converted = AdapterConversion.toPeft(MethodCase.bert().load(HUB.resolve("ia3")));
    converted.save(folder.resolve("peft"));
    var config = MethodCase.json(folder.resolve("peft/adapter_config.json"));
    assertThat(config.path("feedforward_modules").isArray()).isTrue();
    assertThat(config.path("feedforward_modules")).isEmpty();
    AdaptedModel read = MethodCase.bert().load(folder.resolve("peft"));
    assertClose("logits", logits(read, io), io.get("logits"), 1e-5, 0);
    AdapterConversion.toAdapterHub(read).save(folder.resolve("hub"));
    Map<String, Tensor> before = SafeTensors.read(HUB.resolve("ia3/adapter.safetensors")).tensors();
    Map<String, Tensor> after =
        SafeTensors.read(folder.resolve("hub/adapter.safetensors")).tensors();
    before.forEach(
        (key, tensor) -> {
          Tensor back = after.get(key.replace(".task.", ".default."));
          assertThat(back.contentEquals(tensor)).as(key).isTrue();
        });
  }

  @Test
  void aScaleOfScalesIsKept() {
    AdaptedModel adapted = MethodCase.bert().attach(HubLora.ia3().alpha(0.5));
    randomize(adapted);
    AdapterConversion.toPeft(adapted).save(folder.resolve("peft"));
    Map<String, Tensor> io = MethodCase.peft("lora-qv").io();
    assertClose(
        "logits",
        logits(MethodCase.bert().load(folder.resolve("peft")), io),
        logits(adapted, io),
        1e-6,
        1e-6);
  }

  @Test
  void ia3OfOutputsIsThatOfAdapterHub() {
    Ia3 method = Ia3.on(Targets.named(List.of("key", "value")), Targets.matching("none"));
    AdaptedModel adapted = MethodCase.bert().attach(method);
    randomize(adapted);
    assertSame(adapted);
  }

  @Test
  void layersLeftOutAndScalesAreKept() {
    Lora lora =
        Lora.rank(3)
            .alpha(5)
            .rankStabilized(true)
            .on(Targets.matching(".*layer\\.1\\.(attention.self.key|output.dense)"));
    AdaptedModel adapted = MethodCase.bert().attach(lora);
    randomize(adapted);
    assertSame(adapted);
  }

  private void assertSame(AdaptedModel adapted) {
    AdapterConversion.toAdapterHub(adapted).save(folder.resolve("hub"));
    Map<String, Tensor> io = MethodCase.peft("lora-qv").io();
    Tensor expected = logits(adapted, io);
    assertThat(expected.contentEquals(io.get("logits_base"))).isFalse();
    assertClose(
        "logits", logits(MethodCase.bert().load(folder.resolve("hub")), io), expected, 1e-6, 1e-6);
  }

  private static void randomize(AdaptedModel adapted) {
    Random random = new Random(5);
    Map<String, Tensor> values = new HashMap<>();
    for (AdapterTensor tensor : adapted.adapter().tensors()) {
      Tensor start = adapted.graph().initializer(tensor.initializer());
      double[] numbers = new double[(int) start.size()];
      Arrays.setAll(numbers, i -> random.nextGaussian());
      values.put(
          tensor.initializer(), Tensor.ofDoubles(start.shape(), numbers).cast(start.dtype()));
    }
    adapted.update(values);
  }

  private static Tensor logits(AdaptedModel adapted, Map<String, Tensor> io) {
    Map<String, Tensor> inputs = new LinkedHashMap<>(io);
    inputs.keySet().retainAll(List.of("input_ids", "attention_mask", "token_type_ids"));
    return MethodCase.run(adapted.graph(), inputs).get("logits");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "dora-bert",
        "ia3-bert",
        "lora-lora_bias",
        "lora-rank-pattern",
        "lora-qv",
        "loha",
        "lora-embedding",
        "vera-bert",
        "lora-gpt2",
        "prompt-tuning-bert",
        "prefix-tuning-bert"
      })
  void whatAdapterHubHasNotIsRefused(String name) {
    AdaptedModel adapted = MethodCase.peft(name).adapted();
    assertThatThrownBy(() -> AdapterConversion.toAdapterHub(adapted))
        .isInstanceOf(UnsupportedModelException.class);
  }

  @Test
  void promptsOfDecodersAreNothingForAdapterHub() {
    AdaptedModel adapted = MethodCase.peft("prompt-tuning-llama").adapted();
    assertThatThrownBy(() -> AdapterConversion.toAdapterHub(adapted))
        .isInstanceOf(UnsupportedModelException.class)
        .hasMessageContaining("this method takes encoders");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "vera",
        "lora-gated",
        "seq_bn",
        "prefix_tuning",
        "prefix_tuning_flat",
        "prompt_tuning"
      })
  void whatPeftHasNotIsRefused(String name) {
    AdaptedModel adapted = MethodCase.bert().load(HUB.resolve(name));
    assertThatThrownBy(() -> AdapterConversion.toPeft(adapted))
        .isInstanceOf(UnsupportedModelException.class)
        .hasMessageContaining("cannot be converted");
  }
}

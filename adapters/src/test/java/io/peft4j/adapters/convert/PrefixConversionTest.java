package io.peft4j.adapters.convert;

import static io.peft4j.adapters.MethodCase.assertClose;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.AdaptedModel;
import io.peft4j.Checkpoints;
import io.peft4j.PretrainedModel;
import io.peft4j.UnsupportedModelException;
import io.peft4j.adapters.MethodCase;
import io.peft4j.adapters.prompt.HubPrefixTuning;
import io.peft4j.adapters.prompt.PrefixTuning;
import io.peft4j.format.Formats;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class PrefixConversionTest {
  private static final MethodCase LLAMA = MethodCase.peft("prefix-tuning-llama");

  @TempDir Path work;

  /** The golden Llama with a head of keys for each of the queries': what AdapterHub takes. */
  private PretrainedModel llama() throws IOException {
    Path source = Path.of("src/test/resources/methods/base-llama");
    Path folder = Files.createDirectories(work.resolve("llama"));
    String config = Files.readString(source.resolve("config.json"), UTF_8);
    Files.writeString(
        folder.resolve("config.json"),
        config.replace("\"num_key_value_heads\": 2", "\"num_key_value_heads\": 4"),
        UTF_8);
    Random random = new Random(3);
    Map<String, Tensor> weights = new LinkedHashMap<>();
    SafeTensors.read(source.resolve("model.safetensors"))
        .tensors()
        .forEach(
            (key, tensor) ->
                weights.put(key, key.matches(".*[kv]_proj.weight") ? wide(random) : tensor));
    SafeTensors.write(folder.resolve("model.safetensors"), weights, Map.of("format", "pt"));
    return Checkpoints.open(folder);
  }

  private static Tensor wide(Random random) {
    float[] values = new float[32 * 32];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (0.15 * random.nextGaussian());
    }
    return Tensor.ofFloats(new long[] {32, 32}, values);
  }

  private static Tensor logits(AdaptedModel model) {
    return MethodCase.run(model.graph(), LLAMA.inputs()).get("logits");
  }

  private static Tensor vectors(Path folder) {
    return SafeTensors.read(folder.resolve("adapter_model.safetensors"))
        .tensors()
        .get("prompt_embeddings");
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void onRotaryPositionsAPrefixOfPeftIsOneOfAdapterHubAndComesBack(boolean projected)
      throws IOException {
    PretrainedModel base = llama();
    AdaptedModel prefix = base.attach(new PrefixTuning(5, projected, 0, List.of()), 6);
    prefix.save(work.resolve("peft"));
    AdapterConversion.toAdapterHub(prefix).save(work.resolve("hub"));
    assertThat(Formats.adapter(work.resolve("hub")).name()).isEqualTo("adapterhub");
    AdaptedModel hub = base.load(work.resolve("hub"));
    assertClose("logits", logits(hub), logits(prefix), 1e-5, 0);
    AdapterConversion.toPeft(hub).save(work.resolve("back"));
    assertClose("logits", logits(base.load(work.resolve("back"))), logits(prefix), 1e-5, 0);
    Tensor before = vectors(work.resolve("peft"));
    Tensor after = vectors(work.resolve("back"));
    // Keys are turned back and forth, which rounds them twice; values stay bit for bit.
    assertClose("vectors", after, before, 1e-6, 0);
    double[] old = before.toDoubles();
    double[] now = after.toDoubles();
    for (int i = 0; i < old.length; i++) {
      if (i / 32 % 2 == 1) {
        assertThat(now[i]).as("value " + i).isEqualTo(old[i]);
      }
    }
  }

  @Test
  void aNetworkOfAdapterHubIsWhatItMakesInPeft() throws IOException {
    PretrainedModel base = llama();
    AdaptedModel hub = base.attach(HubPrefixTuning.length(4).bottleneck(7), 8);
    AdapterConversion.toPeft(hub).save(work.resolve("peft"));
    assertThat(Formats.adapter(work.resolve("peft")).name()).isEqualTo("peft");
    assertClose("logits", logits(base.load(work.resolve("peft"))), logits(hub), 1e-5, 0);
    assertThat(
            logits(hub).contentEquals(MethodCase.run(base.graph(), LLAMA.inputs()).get("logits")))
        .isFalse();
  }

  @Test
  void fewerHeadsOfKeysThanOfQueriesAreNothingForAdapterHub() {
    AdaptedModel adapted = LLAMA.adapted();
    assertThatThrownBy(() -> AdapterConversion.toAdapterHub(adapted))
        .isInstanceOf(UnsupportedModelException.class)
        .hasMessageContaining("has fewer heads of keys");
  }

  @ParameterizedTest
  @ValueSource(strings = {"prefix-tuning-bert", "prefix-tuning-gpt2"})
  void onEmbeddedPositionsTheTextStandsElsewhere(String name) {
    AdaptedModel adapted = MethodCase.peft(name).base().attach(PrefixTuning.tokens(3));
    assertThatThrownBy(() -> AdapterConversion.toAdapterHub(adapted))
        .isInstanceOf(UnsupportedModelException.class)
        .hasMessageContaining("only on a model with rotary positions");
  }

  @Test
  void gatesAndLayersLeftOutAreRefused() throws IOException {
    PretrainedModel base = llama();
    AdaptedModel gated = base.attach(HubPrefixTuning.flat(3).gating(true));
    assertThatThrownBy(() -> AdapterConversion.toPeft(gated)).hasMessageContaining("use_gating");
    AdaptedModel partial =
        base.attach(new HubPrefixTuning(3, true, 512, "tanh", 0, false, true, List.of(1)));
    assertThatThrownBy(() -> AdapterConversion.toPeft(partial))
        .hasMessageContaining("leaves out the layers [1]");
  }
}

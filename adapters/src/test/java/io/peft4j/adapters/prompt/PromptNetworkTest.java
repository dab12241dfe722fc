package io.peft4j.adapters.prompt;

import static io.peft4j.adapters.MethodCase.assertClose;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import io.peft4j.AdaptedModel;
import io.peft4j.RecipeException;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapters.FiniteDifferences;
import io.peft4j.adapters.GoldenBatches;
import io.peft4j.adapters.MethodCase;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import io.peft4j.task.Loss;
import io.peft4j.train.Recipe;
import io.peft4j.train.Trainer;
import io.peft4j.train.TrainingListener;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.DoubleUnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Prompts whose vectors a network makes while they are trained. */
class PromptNetworkTest {
  private static final int TOKENS = 3;
  private static final int SIZE = 32;
  private static final int HIDDEN = 5;
  private static final Map<String, Tensor> BATCH = MethodCase.peft("lora-ffn").labelled();

  @TempDir Path work;

  private static PromptMethod method(String name) {
    return switch (name) {
      case "mlp" -> new PTuning(TOKENS, EncoderKind.MLP, HIDDEN, 2, 0, List.of());
      case "lstm" -> new PTuning(TOKENS, EncoderKind.LSTM, HIDDEN, 1, 0, List.of());
      case "lstm-2" -> new PTuning(TOKENS, EncoderKind.LSTM, HIDDEN, 2, 0.4, List.of("pooler"));
      default -> new PrefixTuning(TOKENS, true, HIDDEN, List.of("pooler"));
    };
  }

  private static AdaptedModel attached(String name) {
    return MethodCase.bert().attach(method(name), 4);
  }

  private static Tensor logits(AdaptedModel model) {
    return MethodCase.run(model.graph(), MethodCase.peft("lora-ffn").inputs()).get("logits");
  }

  private Tensor saved(AdaptedModel model) {
    model.save(work.resolve("adapter"));
    return SafeTensors.read(work.resolve("adapter/adapter_model.safetensors"))
        .tensors()
        .get("prompt_embeddings");
  }

  @ParameterizedTest
  @ValueSource(strings = {"mlp", "lstm", "lstm-2", "projection"})
  void gradientsOfTheNetworkAgreeWithFiniteDifferences(String name) {
    FiniteDifferences.checkSome(attached(name), BATCH, 3);
  }

  @ParameterizedTest
  @ValueSource(strings = {"mlp", "lstm", "lstm-2", "projection"})
  void aFolderHoldsWhatTheNetworkMakesAndComputesTheSame(String name) {
    AdaptedModel model = attached(name);
    Tensor vectors = saved(model);
    assertThat(vectors.dim(0)).isEqualTo(TOKENS);
    AdaptedModel read = MethodCase.bert().load(work.resolve("adapter"));
    assertClose("logits", logits(read), logits(model), 1e-5, 0);
    assertThat(((PromptMethod) read.adapter().method()).hasNetwork()).isFalse();
    assertThat(read.graph().trainable()).contains("prompt_embeddings.default");
    read.save(work.resolve("again"));
    assertThat(tensors("again").keySet()).isEqualTo(tensors("adapter").keySet());
    tensors("again")
        .forEach((k, t) -> assertThat(t.contentEquals(tensors("adapter").get(k))).isTrue());
    assertThat(MethodCase.json(work.resolve("again/adapter_config.json")))
        .isEqualTo(MethodCase.json(work.resolve("adapter/adapter_config.json")));
  }

  private Map<String, Tensor> tensors(String folder) {
    return SafeTensors.read(work.resolve(folder).resolve("adapter_model.safetensors")).tensors();
  }

  @Test
  void theConfigurationSaysWhatMadeTheVectors() {
    saved(attached("lstm-2"));
    JsonNode config = MethodCase.json(work.resolve("adapter/adapter_config.json"));
    assertThat(config.get("peft_type").asText()).isEqualTo("P_TUNING");
    assertThat(config.get("encoder_reparameterization_type").asText()).isEqualTo("LSTM");
    assertThat(config.get("encoder_hidden_size").asInt()).isEqualTo(HIDDEN);
    assertThat(config.get("encoder_num_layers").asInt()).isEqualTo(2);
    assertThat(config.get("encoder_dropout").asDouble()).isEqualTo(0.4);
    MethodCase.bert().attach(method("projection")).save(work.resolve("prefix"));
    JsonNode prefix = MethodCase.json(work.resolve("prefix/adapter_config.json"));
    assertThat(prefix.get("prefix_projection").asBoolean()).isTrue();
    assertThat(prefix.get("encoder_hidden_size").asInt()).isEqualTo(HIDDEN);
  }

  @Test
  void anMlpIsThreeLinearLayersWithReluBetween() {
    AdaptedModel model = attached("mlp");
    Weights w = new Weights(model);
    double[][] x = w.matrix("embedding.weight");
    x = map(w.linear("mlp_head.0", x), v -> Math.max(v, 0));
    x = map(w.linear("mlp_head.2", x), v -> Math.max(v, 0));
    assertRows(saved(model), w.linear("mlp_head.4", x));
  }

  @Test
  void aProjectionIsTwoLinearLayersWithTanhBetween() {
    AdaptedModel model = attached("projection");
    Weights w = new Weights(model);
    double[][] x = map(w.linear("transform.0", w.matrix("embedding.weight")), Math::tanh);
    Tensor vectors = saved(model);
    assertThat(vectors.shape()).containsExactly(TOKENS, 2 * 2 * SIZE); // two layers
    assertRows(vectors, w.linear("transform.2", x));
  }

  @ParameterizedTest
  @ValueSource(strings = {"lstm", "lstm-2"})
  void anLstmReadsFromBothEndsAndTwoLinearLayersFollow(String name) {
    AdaptedModel model = attached(name);
    Weights w = new Weights(model);
    double[][] x = w.matrix("embedding.weight");
    for (int layer = 0; layer < (name.equals("lstm") ? 1 : 2); layer++) {
      double[][] y = new double[TOKENS][2 * HIDDEN];
      for (int direction = 0; direction < 2; direction++) {
        double[] h = new double[HIDDEN];
        double[] c = new double[HIDDEN];
        for (int step = 0; step < TOKENS; step++) {
          int place = direction == 0 ? step : TOKENS - 1 - step;
          double[][] gates = new double[4][];
          for (int gate = 0; gate < 4; gate++) {
            gates[gate] = w.gate("lstm_head." + layer + ".", gate, direction, x[place], h);
          }
          for (int k = 0; k < HIDDEN; k++) {
            c[k] = sigmoid(gates[1][k]) * c[k] + sigmoid(gates[0][k]) * Math.tanh(gates[2][k]);
            h[k] = sigmoid(gates[3][k]) * Math.tanh(c[k]);
            y[place][direction * HIDDEN + k] = h[k];
          }
        }
      }
      x = y;
    }
    x = map(w.linear("mlp_head.0", x), v -> Math.max(v, 0));
    assertRows(saved(model), w.linear("mlp_head.2", x));
  }

  private static double sigmoid(double x) {
    return 1 / (1 + Math.exp(-x));
  }

  private static double[][] map(double[][] x, DoubleUnaryOperator f) {
    double[][] y = new double[x.length][];
    for (int i = 0; i < x.length; i++) {
      y[i] = java.util.Arrays.stream(x[i]).map(f).toArray();
    }
    return y;
  }

  private static void assertRows(Tensor actual, double[][] expected) {
    double[] values = actual.toDoubles();
    assertThat(values).hasSize(expected.length * expected[0].length);
    for (int i = 0; i < values.length; i++) {
      double value = expected[i / expected[0].length][i % expected[0].length];
      assertThat(values[i]).isCloseTo(value, within(1e-6));
    }
  }

  /** The network's tensors by their names. */
  private record Weights(Map<String, Tensor> byName) {
    Weights(AdaptedModel model) {
      this(new HashMap<>());
      Graph graph = model.graph();
      for (AdapterTensor tensor : model.adapter().tensors()) {
        byName.put(
            tensor.parameter().replace("prompt_encoder.", ""),
            graph.initializer(tensor.initializer()));
      }
    }

    double[][] matrix(String name) {
      Tensor tensor = byName.get(name);
      double[] all = tensor.toDoubles();
      int columns = (int) tensor.dim(1);
      double[][] rows = new double[(int) tensor.dim(0)][columns];
      for (int i = 0; i < all.length; i++) {
        rows[i / columns][i % columns] = all[i];
      }
      return rows;
    }

    double[][] linear(String name, double[][] x) {
      double[][] weight = matrix(name + ".weight");
      double[] bias = byName.get(name + ".bias").toDoubles();
      double[][] y = new double[x.length][weight.length];
      for (int i = 0; i < x.length; i++) {
        for (int out = 0; out < weight.length; out++) {
          y[i][out] = bias[out];
          for (int k = 0; k < x[i].length; k++) {
            y[i][out] += weight[out][k] * x[i][k];
          }
        }
      }
      return y;
    }

    /** x W + b + h U + d of one gate and direction. */
    double[] gate(String layer, int gate, int direction, double[] x, double[] h) {
      int number = 2 * gate + direction;
      double[] sum = new double[h.length];
      for (int k = 0; k < sum.length; k++) {
        sum[k] =
            at(layer + "input.bias", number, k)
                + at(layer + "hidden.bias", number, k)
                + dot(layer + "input.weight", number, x, k)
                + dot(layer + "hidden.weight", number, h, k);
      }
      return sum;
    }

    private double dot(String name, int number, double[] x, int column) {
      double sum = 0;
      for (int i = 0; i < x.length; i++) {
        sum += x[i] * at(name, number * x.length + i, column);
      }
      return sum;
    }

    private double at(String name, int row, int column) {
      return byName.get(name).toDoubles()[row * HIDDEN + column];
    }
  }

  @Test
  void aResumedTrainingOfAnEncoderIsBitForBitTheOneThatNeverStopped() {
    AdaptedModel whole = attached("lstm-2");
    fit(whole, Trainer.with(RECIPE));
    Path states = work.resolve("states");
    AdaptedModel first = attached("lstm-2");
    assertThatThrownBy(
            () -> fit(first, Trainer.with(RECIPE).checkpointing(states, 1).listening(STOPPING)))
        .hasMessage("stopped");
    AdaptedModel resumed = attached("lstm-2");
    fit(resumed, Trainer.with(RECIPE).resuming(states, 1));
    assertThat(whole.graph().trainable())
        .contains("prompt_encoder.default.lstm_head.1.hidden.weight");
    for (String key : whole.graph().trainable()) {
      Tensor value = whole.graph().initializer(key);
      assertThat(resumed.graph().initializer(key).contentEquals(value)).as(key).isTrue();
      assertThat(attached("lstm-2").graph().initializer(key).contentEquals(value)).isFalse();
    }
    assertThat(saved(resumed).contentEquals(saved(whole))).isTrue();
  }

  private static final Recipe RECIPE =
      Recipe.builder().optEpochs(1).optBatchSize(4).optShuffle(false).optLearningRate(0.01).build();

  private static final TrainingListener STOPPING =
      new TrainingListener() {
        @Override
        public void onStep(Step step) {
          if (step.step() == 1) {
            throw new IllegalStateException("stopped");
          }
        }
      };

  private static void fit(AdaptedModel model, Trainer trainer) {
    Path batches = MethodCase.training("dora").resolve("batches.safetensors");
    trainer.fit(model, GoldenBatches.read(batches), null, Loss.CROSS_ENTROPY, "logits");
  }

  @Test
  void settingsWithoutEffectAreRefused() {
    assertRefused(
        () -> new PTuning(3, EncoderKind.NONE, 8, 2, 0, List.of()), "set encoder to mlp or lstm");
    assertRefused(
        () -> new PTuning(3, EncoderKind.MLP, 0, 3, 0, List.of()), "encoder_num_layers is 3");
    assertRefused(
        () -> new PTuning(3, EncoderKind.MLP, 0, 2, 0.1, List.of()), "encoder_dropout is 0.1");
    assertRefused(
        () -> new PTuning(3, EncoderKind.LSTM, 0, 1, 0.1, List.of()), "encoder_dropout is 0.1");
    assertRefused(() -> new PrefixTuning(3, false, 8, List.of()), "set prefix_projection to true");
    assertRefused(() -> new PrefixTuning(3, true, -1, List.of()), "was -1");
  }

  private static void assertRefused(Runnable making, String why) {
    assertThatThrownBy(making::run).isInstanceOf(RecipeException.class).hasMessageContaining(why);
  }
}

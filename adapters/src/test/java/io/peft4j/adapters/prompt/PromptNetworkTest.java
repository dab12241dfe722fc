package io.peft4j.adapters.prompt;

import static io.peft4j.adapters.MethodCase.assertClose;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.peft4j.AdaptedModel;
import io.peft4j.RecipeException;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapters.FiniteDifferences;
import io.peft4j.adapters.GoldenBatches;
import io.peft4j.adapters.MethodCase;
import io.peft4j.graph.Tensor;
import io.peft4j.task.Loss;
import io.peft4j.train.Recipe;
import io.peft4j.train.Trainer;
import io.peft4j.train.TrainingListener;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.function.DoubleUnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The networks that make prompts while they are trained, held against their formulas. */
class PromptNetworkTest {
  private static final MethodCase GOLDEN = MethodCase.peft("prompt-tuning-bert");
  private static final int TOKENS = 3;
  private static final int SIZE = 32;
  private static final int HIDDEN = 6;

  private static final PTuning MLP = new PTuning(TOKENS, EncoderKind.MLP, HIDDEN, 2, 0, List.of());
  private static final PTuning LSTM =
      new PTuning(TOKENS, EncoderKind.LSTM, HIDDEN, 2, 0, List.of());
  private static final PrefixTuning PROJECTION = new PrefixTuning(TOKENS, true, HIDDEN, List.of());

  static Stream<PromptMethod> networks() {
    return Stream.of(MLP, LSTM, PROJECTION);
  }

  /** A trained tensor of the network, its numbers in order. */
  private static double[] tensor(AttachedAdapter adapter, String name) {
    return adapter.tensors().stream()
        .filter(t -> t.parameter().equals("prompt_encoder." + name))
        .findFirst()
        .map(t -> adapter.graph().initializer(t.initializer()).toDoubles())
        .orElseThrow();
  }

  /** f(x Wᵀ + b) for x [rows, in] and W [out, in]. */
  private static double[][] linear(
      AttachedAdapter adapter, String name, double[][] x, DoubleUnaryOperator f) {
    double[] w = tensor(adapter, name + ".weight");
    double[] b = tensor(adapter, name + ".bias");
    double[][] y = new double[x.length][b.length];
    for (int row = 0; row < x.length; row++) {
      for (int o = 0; o < b.length; o++) {
        double sum = b[o];
        for (int i = 0; i < x[row].length; i++) {
          sum += x[row][i] * w[o * x[row].length + i];
        }
        y[row][o] = f.applyAsDouble(sum);
      }
    }
    return y;
  }

  private static double[][] embedding(AttachedAdapter adapter) {
    double[] all = tensor(adapter, "embedding.weight");
    double[][] rows = new double[TOKENS][SIZE];
    for (int i = 0; i < all.length; i++) {
      rows[i / SIZE][i % SIZE] = all[i];
    }
    return rows;
  }

  private static double sigmoid(double x) {
    return 1 / (1 + Math.exp(-x));
  }

  /** One direction of torch's LSTM, its gates in the order i, f, g, o. */
  private static double[][] direction(
      AttachedAdapter adapter, int layer, int direction, double[][] x, boolean backward) {
    String name = "lstm_head." + layer + ".";
    int in = x[0].length;
    double[] w = tensor(adapter, name + "input.weight");
    double[] b = tensor(adapter, name + "input.bias");
    double[] u = tensor(adapter, name + "hidden.weight");
    double[] d = tensor(adapter, name + "hidden.bias");
    double[][] states = new double[TOKENS][];
    double[] h = new double[HIDDEN];
    double[] c = new double[HIDDEN];
    for (int step = 0; step < TOKENS; step++) {
      int place = backward ? TOKENS - 1 - step : step;
      double[] next = new double[HIDDEN];
      double[] cell = new double[HIDDEN];
      for (int unit = 0; unit < HIDDEN; unit++) {
        double[] gate = new double[4];
        for (int g = 0; g < 4; g++) {
          int block = 2 * g + direction;
          gate[g] = b[block * HIDDEN + unit] + d[block * HIDDEN + unit];
          for (int i = 0; i < in; i++) {
            gate[g] += x[place][i] * w[(block * in + i) * HIDDEN + unit];
          }
          for (int i = 0; i < HIDDEN; i++) {
            gate[g] += h[i] * u[(block * HIDDEN + i) * HIDDEN + unit];
          }
        }
        cell[unit] = sigmoid(gate[1]) * c[unit] + sigmoid(gate[0]) * Math.tanh(gate[2]);
        next[unit] = sigmoid(gate[3]) * Math.tanh(cell[unit]);
      }
      h = next;
      c = cell;
      states[place] = h;
    }
    return states;
  }

  private static double[][] lstm(AttachedAdapter adapter, int layer, double[][] x) {
    double[][] forward = direction(adapter, layer, 0, x, false);
    double[][] backward = direction(adapter, layer, 1, x, true);
    double[][] both = new double[TOKENS][2 * HIDDEN];
    for (int i = 0; i < TOKENS; i++) {
      System.arraycopy(forward[i], 0, both[i], 0, HIDDEN);
      System.arraycopy(backward[i], 0, both[i], HIDDEN, HIDDEN);
    }
    return both;
  }

  private static double[][] byHand(PromptMethod method, AttachedAdapter adapter) {
    double[][] x = embedding(adapter);
    if (method == PROJECTION) {
      double[][] y = linear(adapter, "transform.0", x, Math::tanh);
      return linear(adapter, "transform.2", y, z -> z);
    }
    DoubleUnaryOperator relu = z -> Math.max(0, z);
    if (method == LSTM) {
      double[][] y = lstm(adapter, 1, lstm(adapter, 0, x));
      return linear(adapter, "mlp_head.2", linear(adapter, "mlp_head.0", y, relu), z -> z);
    }
    double[][] y = linear(adapter, "mlp_head.0", x, relu);
    return linear(adapter, "mlp_head.4", linear(adapter, "mlp_head.2", y, relu), z -> z);
  }

  private static Tensor vectors(AttachedAdapter stored) {
    return stored.graph().initializer(stored.tensors().get(0).initializer());
  }

  @ParameterizedTest
  @MethodSource("networks")
  void theVectorsAreThoseOfTheFormula(PromptMethod method) {
    AttachedAdapter adapter = MethodCase.bert().attach(method, 5).adapter();
    Tensor stored = vectors(MadeVectors.stored(adapter, method.alone()));
    double[][] expected = byHand(method, adapter);
    double[] values = stored.toDoubles();
    assertThat(stored.shape()).containsExactly(TOKENS, expected[0].length);
    for (int i = 0; i < values.length; i++) {
      assertThat(values[i])
          .isCloseTo(expected[i / expected[0].length][i % expected[0].length], within(1e-6));
    }
  }

  @ParameterizedTest
  @MethodSource("networks")
  void gradientsAgreeWithFiniteDifferences(PromptMethod method) {
    FiniteDifferences.checkSome(
        MethodCase.bert().attach(method), MethodCase.peft("lora-ffn").labelled(), 4);
  }

  @ParameterizedTest
  @MethodSource("networks")
  void theFolderHoldsWhatTheNetworkMakes(PromptMethod method, @TempDir Path folder) {
    AdaptedModel model = MethodCase.bert().attach(method, 7);
    model.save(folder.resolve("adapter"));
    AdaptedModel read = MethodCase.bert().load(folder.resolve("adapter"));
    assertThat(read.adapter().tensors()).hasSize(1);
    assertThat(((PromptMethod) read.adapter().method()).hasNetwork()).isFalse();
    Tensor logits = MethodCase.run(model.graph(), GOLDEN.inputs()).get("logits");
    assertClose(
        "logits", MethodCase.run(read.graph(), GOLDEN.inputs()).get("logits"), logits, 1e-5, 0);
  }

  private static final class Stopped extends RuntimeException {
    private static final long serialVersionUID = 1;
  }

  @Test
  void aTrainingIsResumedWithItsNetwork(@TempDir Path folder) {
    GoldenBatches batches =
        GoldenBatches.read(MethodCase.training("dora").resolve("batches.safetensors"));
    PTuning method = new PTuning(TOKENS, EncoderKind.LSTM, HIDDEN, 2, 0.2, List.of());
    Recipe recipe =
        Recipe.builder()
            .optEpochs(2)
            .optBatchSize(GoldenBatches.ROWS)
            .optShuffle(false)
            .optLearningRate(0.01)
            .build();
    AdaptedModel whole = MethodCase.bert().attach(method, 1);
    Trainer.with(recipe).fit(whole, batches, null, Loss.CROSS_ENTROPY, "logits");
    Trainer stopping =
        Trainer.with(recipe)
            .checkpointing(folder.resolve("states"), 1)
            .listening(
                new TrainingListener() {
                  @Override
                  public void onStep(Step step) {
                    if (step.step() == 1) {
                      throw new Stopped();
                    }
                  }
                });
    AdaptedModel first = MethodCase.bert().attach(method, 1);
    assertThatThrownBy(() -> stopping.fit(first, batches, null, Loss.CROSS_ENTROPY, "logits"))
        .isInstanceOf(Stopped.class);
    AdaptedModel resumed = MethodCase.bert().attach(method, 1);
    Trainer.with(recipe)
        .resuming(folder.resolve("states"), 1)
        .fit(resumed, batches, null, Loss.CROSS_ENTROPY, "logits");
    Map<String, Tensor> values = whole.graph().initializers();
    for (String name : whole.graph().trainable()) {
      assertThat(resumed.graph().initializer(name).contentEquals(values.get(name)))
          .as(name)
          .isTrue();
    }
  }

  @Test
  void settingsWithoutMeaningAreRefused() {
    assertThatThrownBy(() -> new PTuning(3, EncoderKind.NONE, 8, 2, 0, List.of()))
        .isInstanceOf(RecipeException.class)
        .hasMessageContaining("encoder_hidden_size");
    assertThatThrownBy(() -> new PTuning(3, EncoderKind.MLP, 8, 3, 0, List.of()))
        .isInstanceOf(RecipeException.class)
        .hasMessageContaining("encoder_num_layers");
    assertThatThrownBy(() -> new PTuning(3, EncoderKind.LSTM, 8, 1, 0.1, List.of()))
        .isInstanceOf(RecipeException.class)
        .hasMessageContaining("encoder_dropout");
    assertThatThrownBy(() -> new PrefixTuning(3, false, 8, List.of()))
        .isInstanceOf(RecipeException.class)
        .hasMessageContaining("prefix_projection");
  }
}

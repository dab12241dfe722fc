package io.peft4j.compress.calibrate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.peft4j.Checkpoints;
import io.peft4j.PretrainedModel;
import io.peft4j.RecipeException;
import io.peft4j.compress.StoredBatch;
import io.peft4j.data.FeatureBatches;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.math.Matrix;
import io.peft4j.site.LinearSite;
import java.util.List;
import org.junit.jupiter.api.Test;

class CalibrationTest {
  private static final PretrainedModel BERT = Checkpoints.open(StoredBatch.BASE_BERT);
  private static final StoredBatch BATCH = StoredBatch.baseBert();

  private static LinearSite site(String path) {
    return BERT.sites().linear(path).orElseThrow();
  }

  /** The value itself, for the whole batch. */
  private static Tensor value(String name) {
    Graph graph =
        BERT.graph().edit().clearOutputs().output(new Value(name, null, null)).prune().build();
    try (TorchProgram program = TorchEngine.compile(graph, CompileOptions.evaluation())) {
      return program.run(BATCH.inputs()).get(name);
    }
  }

  @Test
  void momentsAreSumsOverTokensThatAreNoPadding() {
    String input = site("bert.encoder.layer.1.output.dense").input();
    InputMoments found = new Calibration(BATCH, 3).moments(BERT.graph(), List.of(input));
    Tensor x = value(input);
    long[] mask = BATCH.tensors().get("attention_mask").toLongs();
    int in = (int) x.dim(-1);
    double[] values = x.toDoubles();
    double[] sum = new double[in * in];
    long tokens = 0;
    for (int row = 0; row < mask.length; row++) {
      tokens += mask[row];
      for (int i = 0; i < in * in && mask[row] == 1; i++) {
        sum[i] += values[row * in + i / in] * values[row * in + i % in];
      }
    }
    assertThat(tokens).isLessThan(mask.length);
    assertThat(found.rows()).isEqualTo(tokens);
    assertThat(found.products().values()).containsExactly(sum, within(1e-4));
  }

  @Test
  void severalValuesAddUpAndSentencesCountOnce() {
    String query = site("bert.encoder.layer.0.attention.self.query").input();
    String later = site("bert.encoder.layer.1.attention.self.query").input();
    Calibration calibration = Calibration.of(BATCH);
    InputMoments both = calibration.moments(BERT.graph(), List.of(query, later));
    InputMoments sum =
        calibration
            .moments(BERT.graph(), List.of(query))
            .plus(calibration.moments(BERT.graph(), List.of(later)));
    assertThat(both.rows()).isEqualTo(sum.rows());
    assertThat(both.products().values()).containsExactly(sum.products().values(), within(1e-6));
    InputMoments pooled =
        calibration.moments(BERT.graph(), List.of(site("bert.pooler.dense").input()));
    assertThat(pooled.rows()).isEqualTo(BATCH.size());
  }

  @Test
  void theOutputErrorIsThatOfTheOutputs() {
    Matrix x = Matrix.of(3, 2, 1, 2, 3, 4, 5, 6);
    InputMoments moments = new InputMoments(x.transposed().times(x), 3);
    Matrix weight = Matrix.of(1, 2, 1, -1);
    Matrix instead = Matrix.of(1, 2, 1, 0);
    // x · weight is -1, -1, -1; the difference is 2, 4, 6
    assertThat(moments.outputError(weight, instead)).isCloseTo(Math.sqrt(56 / 3.0), within(1e-12));
    assertThat(moments.outputError(weight, weight)).isZero();
    assertThat(moments.lengths()).containsExactly(Math.sqrt(35), Math.sqrt(56));
  }

  @Test
  void noRowsAndNoBatchAreRefused() {
    assertThatThrownBy(() -> new Calibration(BATCH, 0)).isInstanceOf(RecipeException.class);
    assertThatThrownBy(() -> Calibration.of(new FeatureBatches("x", new float[0][], new long[0])))
        .isInstanceOf(RecipeException.class);
  }
}

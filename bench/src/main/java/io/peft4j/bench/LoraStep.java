package io.peft4j.bench;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.peft4j.AdaptedModel;
import io.peft4j.Checkpoints;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.lora.Lora;
import io.peft4j.data.BatchSource;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import io.peft4j.task.Loss;
import io.peft4j.task.PooledHead;
import io.peft4j.task.Pooling;
import io.peft4j.train.Recipe;
import io.peft4j.train.Trainer;
import io.peft4j.train.TrainingListener;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * The LoRA step of {@code bench/peer/lora_step.py}: MiniLM from its SafeTensors folder, r 8 on the
 * feed-forward linears, a classification head, dropout 0.1 everywhere, AdamW, clipping. Prints one
 * line of JSON.
 */
public final class LoraStep {
  private static final int ROWS = 32;
  private static final int LENGTH = 64;
  private static final int LABELS = 10;
  private static final int WARM_UP = 3;
  private static final double DROPOUT = 0.1;

  private LoraStep() {}

  /**
   * @param args the model's folder, and how many steps to time
   */
  public static void main(String[] args) throws IOException {
    int steps = Integer.parseInt(args[1]);
    AdaptedModel model =
        Checkpoints.open(Path.of(args[0]))
            .attach(Lora.rank(8).dropout(DROPOUT).on(Targets.feedForward()));
    List<String> labels = new ArrayList<>();
    for (int i = 0; i < LABELS; i++) {
      labels.add("label " + i);
    }
    model.addHead(new PooledHead(Pooling.CLS, LABELS, DROPOUT), labels, 0);
    Recipe recipe = Recipe.builder().optEpochs(1).optBatchSize(ROWS).optLearningRate(1e-3).build();
    List<Long> ends = new ArrayList<>();
    double[] startup = new double[1];
    TrainingListener listener =
        new TrainingListener() {
          @Override
          public void onStep(Step step) {
            if (ends.isEmpty()) {
              startup[0] = OwnProcess.secondsSinceStart();
            }
            ends.add(System.nanoTime());
          }
        };
    Trainer.with(recipe)
        .listening(listener)
        .fit(model, new RandomRows(WARM_UP + steps), null, Loss.CROSS_ENTROPY, PooledHead.LOGITS);
    Map<String, Object> result = new LinkedHashMap<>();
    result.put("tool", "peft4j");
    result.put("stepMillis", median(ends));
    result.put("startupSeconds", startup[0]);
    result.put("peakMemoryMegabytes", OwnProcess.peakMegabytes());
    System.out.println(new ObjectMapper().writeValueAsString(result));
  }

  private static double median(List<Long> ends) {
    double[] millis = new double[ends.size() - WARM_UP];
    for (int i = 0; i < millis.length; i++) {
      millis[i] = (ends.get(i + WARM_UP) - ends.get(i + WARM_UP - 1)) / 1e6;
    }
    Arrays.sort(millis);
    int middle = millis.length / 2;
    return millis.length % 2 == 1 ? millis[middle] : (millis[middle - 1] + millis[middle]) / 2;
  }

  /** Random ids without padding. */
  private static final class RandomRows implements BatchSource {
    private static final int VOCABULARY = 30_522;

    private final int batches;
    private final Random random = new Random(0);

    RandomRows(int batches) {
      this.batches = batches;
    }

    @Override
    public int size() {
      return batches * ROWS;
    }

    @Override
    public Map<String, Tensor> batch(int[] rows) {
      long[] shape = {ROWS, LENGTH};
      long[] ids = random.longs(ROWS * LENGTH, 1000, VOCABULARY).toArray();
      long[] mask = new long[ids.length];
      Arrays.fill(mask, 1);
      return Map.of(
          "input_ids",
          Tensor.ofLongs(shape, ids),
          "attention_mask",
          Tensor.ofLongs(shape, mask),
          "token_type_ids",
          Tensor.zeros(DType.INT64, shape),
          Loss.LABELS,
          Tensor.vector(random.longs(ROWS, 0, LABELS).toArray()));
    }

    @Override
    public int length(int row) {
      return LENGTH;
    }

    @Override
    public long label(int row) {
      return 0;
    }
  }
}

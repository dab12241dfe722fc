package io.peft4j.bench;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.peft4j.AdaptedModel;
import io.peft4j.Checkpoints;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.lora.Lora;
import io.peft4j.task.Loss;
import io.peft4j.task.PooledHead;
import io.peft4j.task.Pooling;
import io.peft4j.train.Recipe;
import io.peft4j.train.Trainer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

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
    StepTimes times = new StepTimes(WARM_UP);
    Trainer.with(recipe)
        .listening(times)
        .fit(
            model,
            new RandomRows(WARM_UP + steps, ROWS, LENGTH, LABELS),
            null,
            Loss.CROSS_ENTROPY,
            PooledHead.LOGITS);
    Map<String, Object> result = new LinkedHashMap<>();
    result.put("tool", "peft4j");
    result.put("stepMillis", times.medianMillis());
    result.put("startupSeconds", times.startupSeconds());
    result.put("peakMemoryMegabytes", OwnProcess.peakMegabytes());
    System.out.println(new ObjectMapper().writeValueAsString(result));
  }
}

package io.peft4j.compress.distill;

import io.peft4j.Checkpoints;
import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.data.Dataset;
import io.peft4j.format.Checkpoint;
import io.peft4j.graph.Graph;
import io.peft4j.task.PooledHead;
import io.peft4j.task.Pooling;
import io.peft4j.train.Recipe;
import java.nio.file.Path;
import java.util.List;

/**
 * A student that is a checkpoint of its own, with its own tokenizer beside it. An encoder without
 * scores gets a head for the teacher's labels.
 *
 * @param model an ONNX file or a folder with config.json and SafeTensors
 * @param pooling what a head that is added stands on
 * @param dropout before a head that is added
 */
public record CheckpointStudent(Path model, Pooling pooling, double dropout) implements Student {
  private static final Recipe RECIPE =
      Recipe.builder().optEpochs(6).optBatchSize(16).optLearningRate(2e-4).build();

  /** Further texts where there are few rows: so many in all, and for each row. */
  private static final int TEXTS = 2500;

  private static final int MOST_COPIES = 4;

  @Override
  public PretrainedModel build(Teacher teacher, Dataset rows, long seed) {
    PretrainedModel opened = Checkpoints.open(model);
    Checkpoint checkpoint = opened.checkpoint();
    List<String> labels = teacher.labels();
    if (opened.hasLogits()) {
      int classes = new Teacher(opened, teacher.tokenizer()).classes();
      boolean same = checkpoint.labels().isEmpty() || checkpoint.labels().equals(labels);
      if (classes != labels.size() || !same) {
        throw new PeftException(
            "student %s scores %d classes (%s), the teacher %d (%s); give a student with the same, or an encoder without a head"
                .formatted(
                    model,
                    classes,
                    String.join(", ", checkpoint.labels()),
                    labels.size(),
                    String.join(", ", labels)));
      }
      return new PretrainedModel(checkpoint.withLabels(labels));
    }
    PooledHead head = new PooledHead(pooling, labels.size(), dropout);
    Graph graph =
        head.attach(opened.graph(), seed)
            .edit()
            .untag()
            .freezeAll()
            .metadata(Checkpoint.LABELS_KEY, Checkpoint.text(labels))
            .build();
    return new PretrainedModel(checkpoint.withGraph(Scoring.only(graph)).withLabels(labels));
  }

  @Override
  public Recipe recipe() {
    return RECIPE;
  }

  @Override
  public int copies(int rows) {
    return Math.min(MOST_COPIES, TEXTS / rows);
  }
}

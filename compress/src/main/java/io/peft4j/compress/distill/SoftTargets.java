package io.peft4j.compress.distill;

import io.peft4j.RecipeException;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Value;
import io.peft4j.task.Loss;
import java.util.List;
import java.util.Map;

/**
 * Knowledge distillation (Hinton et al. 2015, arXiv 1503.02531) of a classifier: alpha · cross
 * entropy of the labels + (1 − alpha) · T² · KL(softmax(teacher / T) ‖ softmax(student / T)), means
 * over the rows. A row without a label ({@link #UNLABELLED}) adds nothing to the first sum, but
 * counts among the rows.
 *
 * @param temperature T; higher shows more of what the teacher thinks of wrong classes
 * @param alpha the weight of the hard labels; with 0 they are not looked at
 */
public record SoftTargets(double temperature, double alpha) implements DistillationTerm {
  /** The input with the teacher's scores, float32 [batch, classes]. */
  public static final String TEACHER = "teacher_logits";

  /** The label of a row that has none. */
  public static final long UNLABELLED = -100;

  public SoftTargets {
    if (!(temperature > 0) || Double.isInfinite(temperature)) {
      throw new RecipeException("temperature must be a positive number, was " + temperature);
    }
    if (!(alpha >= 0 && alpha <= 1)) {
      throw new RecipeException("alpha must be from 0 to 1, was " + alpha);
    }
  }

  /** The teacher's scores alone, at temperature 2. */
  public static SoftTargets standard() {
    return new SoftTargets(2, 0);
  }

  @Override
  public String attach(GraphEditor editor, String logits) {
    editor.input(Value.of(Loss.LABELS, DType.INT64, "batch"));
    editor.input(Value.of(TEACHER, DType.FLOAT32, "batch", "classes"));
    LossNodes nodes = new LossNodes(editor, "/soft");
    String divergences =
        nodes.divergence(nodes.over(TEACHER, temperature), nodes.over(logits, temperature));
    String soft = nodes.times(nodes.mean(divergences), (1 - alpha) * temperature * temperature);
    String hard =
        nodes.node(
            "SoftmaxCrossEntropyLoss",
            List.of(logits, Loss.LABELS),
            Map.of("reduction", Attribute.of("none"), "ignore_index", Attribute.of(UNLABELLED)));
    return nodes.node("Add", List.of(nodes.times(nodes.mean(hard), alpha), soft));
  }
}

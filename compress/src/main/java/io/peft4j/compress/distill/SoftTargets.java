package io.peft4j.compress.distill;

import io.peft4j.RecipeException;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.task.Loss;
import io.peft4j.task.Objective;
import java.util.List;
import java.util.Map;

/**
 * Knowledge distillation (Hinton et al. 2015, arXiv 1503.02531) of a classifier: alpha · cross
 * entropy of the labels + (1 − alpha) · T² · KL(softmax(teacher / T) ‖ softmax(student / T)), means
 * over the rows. With alpha 0 the labels are not looked at.
 *
 * @param temperature T; higher shows more of what the teacher thinks of wrong classes
 * @param alpha the weight of the hard labels
 */
public record SoftTargets(double temperature, double alpha) implements Objective {
  /** The input with the teacher's scores, float32 [batch, classes]. */
  public static final String TEACHER = "teacher_logits";

  public SoftTargets {
    if (!(temperature > 0) || Double.isInfinite(temperature)) {
      throw new RecipeException("temperature must be a positive number, was " + temperature);
    }
    if (!(alpha >= 0 && alpha <= 1)) {
      throw new RecipeException("alpha must be from 0 to 1, was " + alpha);
    }
  }

  @Override
  public String name() {
    return toString();
  }

  @Override
  public double threshold() {
    return Loss.CROSS_ENTROPY.threshold();
  }

  @Override
  public Graph attach(Graph graph, String logits) {
    GraphEditor editor = graph.edit();
    editor.input(Value.of(Loss.LABELS, DType.INT64, "batch"));
    editor.input(Value.of(TEACHER, DType.FLOAT32, "batch", "classes"));
    String t = editor.constant("/soft/temperature", Tensor.scalar((float) temperature));
    String teacher = editor.node("/soft/Div", "Div", List.of(TEACHER, t));
    String student = editor.node("/soft/Div_1", "Div", List.of(logits, t));
    Map<String, Attribute> last = Map.of("axis", Attribute.of(-1L));
    String probabilities = editor.node("/soft/Softmax", "Softmax", List.of(teacher), last);
    String logTeacher = editor.node("/soft/LogSoftmax", "LogSoftmax", List.of(teacher), last);
    String logStudent = editor.node("/soft/LogSoftmax_1", "LogSoftmax", List.of(student), last);
    String gap = editor.node("/soft/Sub", "Sub", List.of(logTeacher, logStudent));
    String terms = editor.node("/soft/Mul", "Mul", List.of(probabilities, gap));
    String axis = editor.constant("/soft/axis", Tensor.vector(-1));
    Map<String, Attribute> drop = Map.of("keepdims", Attribute.of(0L));
    String rows = editor.node("/soft/ReduceSum", "ReduceSum", List.of(terms, axis), drop);
    String divergence = editor.node("/soft/ReduceMean", "ReduceMean", List.of(rows), drop);
    String hard =
        editor.node(
            "/soft/SoftmaxCrossEntropyLoss",
            "SoftmaxCrossEntropyLoss",
            List.of(logits, Loss.LABELS),
            Map.of("reduction", Attribute.of("mean")));
    String soft = scaled(editor, "/soft/soft", divergence, (1 - alpha) * temperature * temperature);
    List<String> parts = List.of(scaled(editor, "/soft/hard", hard, alpha), soft);
    editor.add(Node.of("/soft/Add", "Add", parts, List.of(Loss.OUTPUT), Map.of()));
    return editor.output(Value.of(Loss.OUTPUT, DType.FLOAT32)).build();
  }

  private static String scaled(GraphEditor editor, String name, String value, double factor) {
    String constant = editor.constant(name + "/factor", Tensor.scalar((float) factor));
    return editor.node(name, "Mul", List.of(value, constant));
  }
}

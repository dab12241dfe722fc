package io.peft4j.compress.distill;

import io.peft4j.RecipeException;
import io.peft4j.graph.DType;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Value;
import java.util.List;

/**
 * Soft targets for each token, of a token classifier or a language model: scores [batch, sequence,
 * classes], the mean over tokens that {@code attention_mask} does not call padding.
 *
 * @param kind what is measured
 * @param temperature T, which MSE does not use
 */
public record TokenTargets(Kind kind, double temperature) implements DistillationTerm {
  /** What is measured between the scores of a token. */
  public enum Kind {
    /** T² · KL(teacher ‖ student): the student covers all that the teacher holds possible. */
    FORWARD_KL,
    /** T² · KL(student ‖ teacher): the student keeps to what the teacher holds probable. */
    REVERSE_KL,
    /** The mean over the classes of the squared difference of the scores. */
    LOGIT_MSE
  }

  /** The input with the teacher's scores, float32 [batch, sequence, classes]. */
  public static final String TEACHER = "teacher_token_logits";

  public TokenTargets {
    if (!(temperature > 0) || Double.isInfinite(temperature)) {
      throw new RecipeException("temperature must be a positive number, was " + temperature);
    }
  }

  @Override
  public String attach(GraphEditor editor, String logits) {
    editor.input(Value.of(TEACHER, DType.FLOAT32, "batch", "sequence", "classes"));
    LossNodes nodes = new LossNodes(editor, "/tokens");
    String mask = nodes.asFloat(FeedForwardStudent.MASK);
    if (kind == Kind.LOGIT_MSE) {
      String gap = nodes.node("Sub", List.of(logits, TEACHER));
      return nodes.masked(nodes.meanOfLast(nodes.product(gap, gap)), mask);
    }
    String teacher = nodes.over(TEACHER, temperature);
    String student = nodes.over(logits, temperature);
    String divergences =
        kind == Kind.FORWARD_KL
            ? nodes.divergence(teacher, student)
            : nodes.divergence(student, teacher);
    return nodes.times(nodes.masked(divergences, mask), temperature * temperature);
  }
}

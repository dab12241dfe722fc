package io.peft4j.compress.distill;

import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Vectors of the student, projected if they are of another size, held against the teacher's: one a
 * text, or one a token with the mean over those that are not padding.
 *
 * @param distance how two vectors are compared
 * @param student the value in the student's graph
 * @param teacher the input with the teacher's vectors
 * @param projection the initializer [teacher's size, student's size]; null if they are of one size
 * @param perToken whether the vectors are [batch, tokens, size] rather than [batch, size]
 */
record VectorMatch(
    Distance distance,
    String student,
    String teacher,
    @Nullable String projection,
    boolean perToken)
    implements DistillationTerm {

  private static final float TINY = 1e-12f;

  @Override
  public String attach(GraphEditor editor, String logits) {
    List<Object> shape = perToken ? List.of("batch", "sequence", "size") : List.of("batch", "size");
    editor.input(Value.of(teacher, DType.FLOAT32, shape.toArray()));
    LossNodes nodes = new LossNodes(editor, "/match/" + teacher);
    String own = student;
    if (projection != null) {
      Map<String, Attribute> swap = Map.of("perm", Attribute.ofInts(1, 0));
      String transposed = nodes.node("Transpose", List.of(projection), swap);
      own = nodes.node("MatMul", List.of(own, transposed));
    }
    String distances =
        switch (distance) {
          case MSE -> {
            String gap = nodes.difference(own, teacher);
            yield nodes.meanOfLast(nodes.product(gap, gap));
          }
          case COSINE -> oneLessCosine(editor, nodes, own);
        };
    return perToken
        ? nodes.masked(distances, nodes.asFloat(FeedForwardStudent.MASK))
        : nodes.mean(distances);
  }

  private String oneLessCosine(GraphEditor editor, LossNodes nodes, String own) {
    String squares =
        nodes.product(
            nodes.sumOfLast(nodes.product(own, own)),
            nodes.sumOfLast(nodes.product(teacher, teacher)));
    String tiny = editor.constant("/match/tiny", Tensor.scalar(TINY));
    String positive = nodes.node("Max", List.of(squares, tiny));
    String norms = nodes.node("Sqrt", List.of(positive));
    String dot = nodes.sumOfLast(nodes.product(own, teacher));
    String cosine = nodes.node("Div", List.of(dot, norms));
    String one = editor.constant("/match/one", Tensor.scalar(1f));
    return nodes.difference(one, cosine);
  }
}

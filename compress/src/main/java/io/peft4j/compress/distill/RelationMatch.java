package io.peft4j.compress.distill;

import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import java.util.List;
import java.util.Map;

/**
 * How the tokens of a text relate, as MiniLMv2 compares it (Wang et al. 2021, arXiv 2012.15828):
 * vectors are split into heads; a relation is softmax(L Rᵀ / √size of a head), padded tokens left
 * out; the term is KL(teacher ‖ student), its mean over heads and tokens. With queries on both
 * sides it is the relation of queries, likewise of keys and values; with queries left and keys
 * right it is attention itself. Student and teacher may have vectors of different sizes.
 *
 * @param heads that vectors are split into
 * @param student the two sides in the student's graph, [batch, sequence, size]
 * @param teacher the inputs with the teacher's
 */
record RelationMatch(int heads, Side student, Side teacher) implements DistillationTerm {
  /**
   * Two values of one size.
   *
   * @param size of a vector, a multiple of the number of heads
   */
  record Side(String left, String right, long size) {}

  private static final float FAR = -1e9f;

  @Override
  public String attach(GraphEditor editor, String logits) {
    for (String input : List.of(teacher.left(), teacher.right())) {
      editor.input(Value.of(input, DType.FLOAT32, "batch", "sequence", "size"));
    }
    LossNodes nodes = new LossNodes(editor, "/relation/" + teacher.left());
    String mask = nodes.asFloat(FeedForwardStudent.MASK);
    String keys = keys(editor, nodes, mask);
    String divergences =
        nodes.divergence(
            scores(editor, nodes, teacher, keys), scores(editor, nodes, student, keys));
    String axis = editor.constant("/relation/heads", Tensor.vector(1));
    Map<String, Attribute> drop = Map.of("keepdims", Attribute.of(0L));
    return nodes.masked(nodes.node("ReduceMean", List.of(divergences, axis), drop), mask);
  }

  /** What is added to the scores of padded tokens, [batch, 1, 1, sequence]. */
  private static String keys(GraphEditor editor, LossNodes nodes, String mask) {
    String axes = editor.constant("/relation/axes", Tensor.vector(1, 2));
    String one = editor.constant("/relation/one", Tensor.scalar(1f));
    String padded = nodes.node("Sub", List.of(one, mask));
    return nodes.times(nodes.node("Unsqueeze", List.of(padded, axes)), FAR);
  }

  private String scores(GraphEditor editor, LossNodes nodes, Side side, String keys) {
    String left = split(editor, nodes, side.left(), 0, 2, 1, 3);
    String right = split(editor, nodes, side.right(), 0, 2, 3, 1);
    String product = nodes.node("MatMul", List.of(left, right));
    String scaled = nodes.over(product, Math.sqrt(side.size() / (double) heads));
    return nodes.node("Add", List.of(scaled, keys));
  }

  private String split(GraphEditor editor, LossNodes nodes, String value, long... order) {
    String shape = editor.constant("/relation/shape", Tensor.vector(0, 0, heads, -1));
    String parts = nodes.node("Reshape", List.of(value, shape));
    return nodes.node("Transpose", List.of(parts), Map.of("perm", Attribute.ofInts(order)));
  }
}

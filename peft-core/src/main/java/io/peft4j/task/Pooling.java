package io.peft4j.task;

import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.Dim;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import java.util.List;
import java.util.Map;

/** How the vectors of a text's tokens become one. */
public enum Pooling {
  /** The mean over the tokens that are not padding. */
  MEAN,
  /** The vector of the first token. */
  CLS;

  /** The name of the only output of {@link #features}. */
  public static final String FEATURES = "features";

  private static final String MASK = "attention_mask";

  /**
   * An encoder's part that gives one vector a text; its only output is {@link #FEATURES} [batch,
   * hidden].
   */
  public Graph features(Graph encoder) {
    Value tokens = PooledHead.features(encoder);
    List<Dim> shape = tokens.shape();
    GraphEditor editor = encoder.edit();
    String pooled = attach(editor, encoder, tokens.name());
    editor.add(
        Node.of("/pooling/Identity", "Identity", List.of(pooled), List.of(FEATURES), Map.of()));
    List<Dim> dims = shape == null ? null : List.of(Dim.of("batch"), shape.get(2));
    editor.clearOutputs().output(new Value(FEATURES, DType.FLOAT32, dims));
    return editor.prune().build();
  }

  /**
   * Adds the nodes that pool.
   *
   * @param graph what is edited
   * @param tokens the name of the tokens' vectors, [batch, sequence, hidden]
   * @return the name of the pooled vectors, [batch, hidden]
   */
  String attach(GraphEditor editor, Graph graph, String tokens) {
    if (this == CLS) {
      String first = editor.constant("/pooling/first", Tensor.scalar(0L));
      return editor.node(
          "/pooling/Gather", "Gather", List.of(tokens, first), Map.of("axis", Attribute.of(1L)));
    }
    String axis = editor.constant("/pooling/axis", Tensor.vector(1));
    Map<String, Attribute> drop = Map.of("keepdims", Attribute.of(0L));
    if (graph.inputs().stream().noneMatch(v -> v.name().equals(MASK))) {
      return editor.node("/pooling/ReduceMean", "ReduceMean", List.of(tokens, axis), drop);
    }
    String last = editor.constant("/pooling/last", Tensor.vector(-1));
    String mask =
        editor.node(
            "/pooling/Cast",
            "Cast",
            List.of(MASK),
            Map.of("to", Attribute.of((long) DType.FLOAT32.onnxCode())));
    String column = editor.node("/pooling/Unsqueeze", "Unsqueeze", List.of(mask, last));
    String kept = editor.node("/pooling/Mul", "Mul", List.of(tokens, column));
    String sum = editor.node("/pooling/ReduceSum", "ReduceSum", List.of(kept, axis), drop);
    String count = editor.node("/pooling/ReduceSum_1", "ReduceSum", List.of(column, axis), drop);
    return editor.node("/pooling/Div", "Div", List.of(sum, count));
  }
}

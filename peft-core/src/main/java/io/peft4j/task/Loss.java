package io.peft4j.task;

import io.peft4j.PeftException;
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

/**
 * Losses as nodes of a graph: attaching one adds the input {@code labels} and the scalar output
 * {@code loss}, the mean over what counts.
 */
public enum Loss implements Objective {
  /** Logits [B, C], labels int64 [B]. */
  CROSS_ENTROPY,
  /** Logits [B, T, C], labels int64 [B, T]; -100 does not count. */
  TOKEN_CROSS_ENTROPY,
  /** As {@link #TOKEN_CROSS_ENTROPY}, where position t predicts the label of t + 1. */
  CAUSAL_CROSS_ENTROPY,
  /** Logits [B, K], labels float32 [B, K]: binary cross entropy of each. */
  BINARY_CROSS_ENTROPY,
  /** Outputs [B, K], labels float32 [B, K]: mean squared error. */
  MEAN_SQUARED_ERROR;

  /** The name of the input that an attached loss takes. */
  public static final String LABELS = "labels";

  private static final long UNCOUNTED = -100;

  /** The name of the output that an attached loss gives. */
  public static final String OUTPUT = "loss";

  @Override
  public double threshold() {
    return this == BINARY_CROSS_ENTROPY ? 0 : 0.5; // the sigmoid of 0 is 0.5
  }

  /**
   * {@inheritDoc}
   *
   * @throws PeftException if the graph has no such output
   */
  @Override
  public Graph attach(Graph graph, String logits) {
    if (graph.outputs().stream().noneMatch(v -> v.name().equals(logits))) {
      throw new PeftException(
          "model '%s' has no output '%s' to train; its outputs are %s"
              .formatted(
                  graph.name(),
                  logits,
                  String.join(", ", graph.outputs().stream().map(Value::name).toList())));
    }
    GraphEditor editor = graph.edit();
    String loss =
        switch (this) {
          case CROSS_ENTROPY -> {
            editor.input(Value.of(LABELS, DType.INT64, "batch"));
            yield crossEntropy(editor, logits, LABELS);
          }
          case TOKEN_CROSS_ENTROPY -> {
            editor.input(Value.of(LABELS, DType.INT64, "batch", "sequence"));
            yield flatCrossEntropy(editor, logits, labels(editor, graph), classes(graph, logits));
          }
          case CAUSAL_CROSS_ENTROPY -> {
            editor.input(Value.of(LABELS, DType.INT64, "batch", "sequence"));
            String scores = slice(editor, "logits", logits, 0, -1);
            String next = slice(editor, "labels", labels(editor, graph), 1, Long.MAX_VALUE);
            yield flatCrossEntropy(editor, scores, next, classes(graph, logits));
          }
          case BINARY_CROSS_ENTROPY -> {
            editor.input(Value.of(LABELS, DType.FLOAT32, "batch", "classes"));
            // softplus(x) - x y, the logarithms of the sigmoid put together
            String plus = editor.node("/loss/Softplus", "Softplus", List.of(logits));
            String product = editor.node("/loss/Mul", "Mul", List.of(logits, LABELS));
            yield mean(editor, editor.node("/loss/Sub", "Sub", List.of(plus, product)));
          }
          case MEAN_SQUARED_ERROR -> {
            editor.input(Value.of(LABELS, DType.FLOAT32, "batch", "targets"));
            String error = editor.node("/loss/Sub", "Sub", List.of(logits, LABELS));
            yield mean(editor, editor.node("/loss/Mul", "Mul", List.of(error, error)));
          }
        };
    editor.add(Node.of("/loss/Identity", "Identity", List.of(loss), List.of(OUTPUT), Map.of()));
    return editor.output(Value.of(OUTPUT, DType.FLOAT32)).build();
  }

  /** The labels, with an uncounted one for each vector that an adapter adds. */
  private static String labels(GraphEditor editor, Graph graph) {
    AddedTokens added = AddedTokens.of(graph);
    if (added.count() == 0) {
      return LABELS;
    }
    Map<String, Attribute> first = Map.of("start", Attribute.of(0L), "end", Attribute.of(1L));
    String rows = editor.node("/loss/front/Shape", "Shape", List.of(LABELS), first);
    String count = editor.constant("/loss/front/count", Tensor.vector(added.count()));
    Map<String, Attribute> axis0 = Map.of("axis", Attribute.of(0L));
    String shape = editor.node("/loss/front/Concat", "Concat", List.of(rows, count), axis0);
    String none = editor.constant("/loss/front/none", Tensor.scalar(UNCOUNTED));
    String front = editor.node("/loss/front/Expand", "Expand", List.of(none, shape));
    Map<String, Attribute> axis1 = Map.of("axis", Attribute.of(1L));
    if (added.position() == 0) {
      return editor.node("/loss/labels/Concat", "Concat", List.of(front, LABELS), axis1);
    }
    String before = slice(editor, "before", LABELS, 0, added.position());
    String behind = slice(editor, "behind", LABELS, added.position(), Long.MAX_VALUE);
    return editor.node("/loss/labels/Concat", "Concat", List.of(before, front, behind), axis1);
  }

  private static String crossEntropy(GraphEditor editor, String scores, String labels) {
    return editor.node(
        "/loss/SoftmaxCrossEntropyLoss",
        "SoftmaxCrossEntropyLoss",
        List.of(scores, labels),
        Map.of("reduction", Attribute.of("mean"), "ignore_index", Attribute.of(UNCOUNTED)));
  }

  private static String flatCrossEntropy(
      GraphEditor editor, String scores, String labels, long classes) {
    String rows = editor.constant("/loss/rows", Tensor.vector(-1, classes));
    String flat = editor.constant("/loss/flat", Tensor.vector(-1));
    return crossEntropy(
        editor,
        editor.node("/loss/Reshape", "Reshape", List.of(scores, rows)),
        editor.node("/loss/Reshape_1", "Reshape", List.of(labels, flat)));
  }

  private static String slice(GraphEditor editor, String part, String value, long from, long to) {
    String starts = editor.constant("/loss/" + part + "/starts", Tensor.vector(from));
    String ends = editor.constant("/loss/" + part + "/ends", Tensor.vector(to));
    String axes = editor.constant("/loss/" + part + "/axes", Tensor.vector(1));
    return editor.node("/loss/" + part + "/Slice", "Slice", List.of(value, starts, ends, axes));
  }

  private static String mean(GraphEditor editor, String values) {
    return editor.node(
        "/loss/ReduceMean", "ReduceMean", List.of(values), Map.of("keepdims", Attribute.of(0L)));
  }

  private static long classes(Graph graph, String logits) {
    List<Dim> shape =
        graph.outputs().stream()
            .filter(v -> v.name().equals(logits))
            .findFirst()
            .map(Value::shape)
            .orElse(null);
    if (shape == null || shape.size() != 3 || !shape.get(2).isFixed()) {
      throw new PeftException(
          "output '%s' must be declared [batch, sequence, classes] with a fixed number of classes"
              .formatted(logits));
    }
    return shape.get(2).size();
  }
}

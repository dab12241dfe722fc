package io.peft4j.task;

import io.peft4j.PeftException;
import io.peft4j.RecipeException;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.Dim;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * A classification head on an encoder that has none: pooling, dropout, and one linear layer whose
 * weights {@code classifier.weight} [labels, hidden] and {@code classifier.bias} [labels] train.
 * Adds the output {@code logits} [batch, labels] before all others.
 *
 * @param labels number of classes
 * @param dropout the probability with which pooled features are dropped in training
 */
public record PooledHead(Pooling pooling, int labels, double dropout) {
  public static final String WEIGHT = "classifier.weight";
  public static final String BIAS = "classifier.bias";
  public static final String LOGITS = "logits";

  /** The tag of the head's nodes and weights. */
  public static final String TAG = "head";

  private static final double INIT_STD = 0.02; // BERT's initializer_range

  public PooledHead {
    if (labels < 2) {
      throw new RecipeException("a classification needs at least 2 labels, was given " + labels);
    }
    if (!(dropout >= 0 && dropout < 1)) {
      throw new RecipeException("head dropout must be from 0 to below 1, was " + dropout);
    }
  }

  /** The features that a graph gives: its output of vectors, one a token. */
  public static Value features(Graph graph) {
    List<Value> sequences =
        graph.outputs().stream()
            .filter(v -> v.shape() != null && v.shape().size() == 3)
            .filter(v -> v.shape() != null && v.shape().get(2).isFixed())
            .toList();
    return sequences.stream()
        .filter(v -> v.name().equals("last_hidden_state") || v.name().equals("token_embeddings"))
        .findFirst()
        .or(() -> sequences.stream().findFirst())
        .orElseThrow(
            () ->
                new PeftException(
                    "model '%s' has no output [batch, sequence, hidden] to put a head on; its outputs are %s"
                        .formatted(graph.name(), graph.outputs())));
  }

  /** The graph with this head, its weights drawn from N(0, 0.02). */
  public Graph attach(Graph graph, long seed) {
    Value features = features(graph);
    List<Dim> shape = features.shape();
    int hidden = shape == null ? 0 : Math.toIntExact(shape.get(2).size());
    Random random = new Random(seed);
    float[] start = new float[labels * hidden];
    for (int i = 0; i < start.length; i++) {
      start[i] = (float) (INIT_STD * random.nextGaussian());
    }
    GraphEditor editor = graph.edit().tagging(TAG);
    editor.initializer(WEIGHT, Tensor.ofFloats(new long[] {labels, hidden}, start)).train(WEIGHT);
    editor.initializer(BIAS, Tensor.ofFloats(new long[] {labels}, new float[labels])).train(BIAS);
    String pooled = pooling.attach(editor, graph, tokens(editor, graph, features.name()));
    if (dropout > 0) {
      String ratio = editor.constant("/pooling/ratio", Tensor.scalar((float) dropout));
      pooled = editor.node("/dropout/Dropout", "Dropout", List.of(pooled, ratio));
    }
    String weight =
        editor.node(
            "/classifier/Transpose",
            "Transpose",
            List.of(WEIGHT),
            Map.of("perm", Attribute.ofInts(1, 0)));
    String product = editor.node("/classifier/MatMul", "MatMul", List.of(pooled, weight));
    editor.add(
        Node.of("/classifier/Add", "Add", List.of(product, BIAS), List.of(LOGITS), Map.of()));
    List<Value> outputs = new ArrayList<>(graph.outputs());
    outputs.add(0, Value.of(LOGITS, DType.FLOAT32, "batch", labels));
    editor.clearOutputs();
    outputs.forEach(editor::output);
    return editor.build();
  }

  /** The features of the tokens that a run is given. */
  private static String tokens(GraphEditor editor, Graph graph, String features) {
    AddedTokens added = AddedTokens.of(graph);
    if (added.count() == 0) {
      return features;
    }
    long position = added.position();
    long end = position + added.count();
    String behind = slice(editor, features, end, Integer.MAX_VALUE);
    return position == 0
        ? behind
        : editor.node(
            "/tokens/Concat",
            "Concat",
            List.of(slice(editor, features, 0, position), behind),
            Map.of("axis", Attribute.of(1L)));
  }

  private static String slice(GraphEditor editor, String x, long from, long to) {
    return editor.node(
        "/tokens/Slice_" + from,
        "Slice",
        List.of(
            x,
            editor.constant("/tokens/from", Tensor.vector(from)),
            editor.constant("/tokens/to", Tensor.vector(to)),
            editor.constant("/tokens/axis", Tensor.vector(1))));
  }
}

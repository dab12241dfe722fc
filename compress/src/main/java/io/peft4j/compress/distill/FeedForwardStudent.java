package io.peft4j.compress.distill;

import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.RecipeException;
import io.peft4j.data.Dataset;
import io.peft4j.format.Checkpoint;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.network.Activation;
import io.peft4j.network.Initialisation;
import io.peft4j.site.LinearSite;
import io.peft4j.task.PooledHead;
import io.peft4j.train.Recipe;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/**
 * A text classifier without attention between tokens: each token has a vector, the vectors of a
 * text are pooled, and a multi-layer perceptron scores the classes. It reads the teacher's tokens:
 * inputs {@code input_ids} and {@code attention_mask}, int64 [batch, sequence]; output {@code
 * logits} [batch, classes].
 *
 * <pre>
 * x = pool(embeddings[input_ids])  (‖ mean(ngrams[hash(id, next id)]))   [batch, size (+ ngramSize)]
 * h = x + W₂ act(W₁ x), or act(W₁ x) where nothing is to be added         [batch, width]
 * logits = W h + b
 * </pre>
 *
 * @param table where the vectors of tokens start
 * @param size of a token's vector where it starts at random; else the teacher's
 * @param pooling how vectors become one
 * @param ngramBuckets how many vectors pairs of neighbouring tokens share; 0 for none
 * @param ngramSize of such a vector
 * @param hidden the size of the hidden layer; 0 for a linear classifier
 * @param activation of the hidden layer
 * @param initialisation of weights that start at random
 * @param dropout in training, before the hidden layer and before the scores
 */
public record FeedForwardStudent(
    Table table,
    int size,
    TokenPooling pooling,
    int ngramBuckets,
    int ngramSize,
    int hidden,
    Activation activation,
    Initialisation initialisation,
    double dropout)
    implements Student {

  /** Where the vectors of tokens start. */
  public enum Table {
    /** The features that the teacher gives for each token alone; its head scores them. */
    TEACHER_OUTPUT,
    /** The teacher's own table of token embeddings. */
    TEACHER_TABLE,
    /** Normal numbers with the standard deviation .02. */
    RANDOM
  }

  /** How the vectors of a text's tokens become one. */
  public enum TokenPooling {
    /** Their mean. */
    MEAN,
    /** Their mean under weights softmax(vector · a), a being trained. */
    ATTENTION
  }

  static final String IDS = "input_ids";
  static final String MASK = "attention_mask";
  static final String EMBEDDINGS = "embeddings.weight";
  static final String FEATURES = "features";

  private static final double RANDOM_DEVIATION = 0.02; // BERT's initializer_range
  private static final long HASH_FACTOR = 1_000_003;

  private static final Recipe RECIPE =
      Recipe.builder().optEpochs(8).optBatchSize(32).optLearningRate(1e-2).build();

  /** Further texts where there are few rows: so many in all, and for each row. */
  private static final int TEXTS = 8000;

  private static final int MOST_COPIES = 16;

  public FeedForwardStudent {
    atLeast("size", size, 1);
    atLeast("ngramBuckets", ngramBuckets, 0);
    atLeast("ngramSize", ngramSize, 1);
    atLeast("hidden", hidden, 0);
    if (!(dropout >= 0 && dropout < 1)) {
      throw new RecipeException("dropout must be from 0 to below 1, was " + dropout);
    }
  }

  private static void atLeast(String field, int value, int least) {
    if (value < least) {
      throw new RecipeException(field + " must be at least " + least + ", was " + value);
    }
  }

  /** The student that suits a few hundred to a few thousand rows. */
  public static FeedForwardStudent standard() {
    return new FeedForwardStudent(
        Table.TEACHER_OUTPUT,
        256,
        TokenPooling.MEAN,
        0,
        64,
        0,
        Activation.GELU,
        Initialisation.HE_NORMAL,
        0.8);
  }

  @Override
  public Recipe recipe() {
    return RECIPE;
  }

  @Override
  public int copies(int rows) {
    return Math.min(MOST_COPIES, TEXTS / rows);
  }

  /**
   * {@inheritDoc}
   *
   * @throws PeftException if the teacher has no table of token embeddings
   */
  @Override
  public PretrainedModel build(Teacher teacher, Dataset rows, long seed) {
    TokenTable tokens = TokenTable.of(teacher);
    SplittableRandom random = new SplittableRandom(seed);
    GraphEditor editor = new GraphEditor("student");
    editor.input(Value.of(IDS, DType.INT64, "batch", "sequence"));
    editor.input(Value.of(MASK, DType.INT64, "batch", "sequence"));
    Tensor vectors =
        switch (table) {
          case TEACHER_OUTPUT -> tokens.outputs();
          case TEACHER_TABLE -> tokens.table();
          case RANDOM -> normal(random, tokens.entries(), size);
        };
    editor.initializer(EMBEDDINGS, vectors);
    String mask = column(editor);
    String x = pooled(editor, mask);
    long width = vectors.dim(1);
    if (ngramBuckets > 0) {
      x = withNgrams(editor, x, mask, random);
      width += ngramSize;
    }
    boolean teachersHead = table == Table.TEACHER_OUTPUT && ngramBuckets == 0;
    if (hidden > 0) {
      x = hidden(editor, x, Math.toIntExact(width), teachersHead, random);
      width = teachersHead ? width : hidden;
    }
    editor.add(Node.of("/features/Identity", "Identity", List.of(x), List.of(FEATURES), Map.of()));
    head(editor, teacher, Math.toIntExact(width), teachersHead, random);
    int classes = teacher.classes();
    editor.output(Value.of(PooledHead.LOGITS, DType.FLOAT32, "batch", classes));
    editor.metadata(Checkpoint.LABELS_KEY, Checkpoint.text(teacher.labels()));
    Graph graph = editor.prune().build();
    return new PretrainedModel(
        new Checkpoint(teacher.model().checkpoint().source(), "onnx", graph, "", teacher.labels()));
  }

  /** The mask as numbers, [batch, sequence, 1]. */
  private static String column(GraphEditor editor) {
    Map<String, Attribute> to = Map.of("to", Attribute.of((long) DType.FLOAT32.onnxCode()));
    String mask = editor.node("/pooling/Cast", "Cast", List.of(MASK), to);
    String last = editor.constant("/pooling/last", Tensor.vector(-1));
    return editor.node("/pooling/Unsqueeze", "Unsqueeze", List.of(mask, last));
  }

  private String pooled(GraphEditor editor, String mask) {
    String vectors = editor.node("/embeddings/Gather", "Gather", List.of(EMBEDDINGS, IDS));
    if (pooling == TokenPooling.MEAN) {
      return mean(editor, "/pooling", vectors, mask);
    }
    Tensor table = editor.initializer(EMBEDDINGS);
    int size = table == null ? 0 : Math.toIntExact(table.dim(1));
    String attention = "pooling.attention.weight";
    editor.initializer(attention, Tensor.zeros(DType.FLOAT32, size, 1));
    String scores = editor.node("/pooling/MatMul", "MatMul", List.of(vectors, attention));
    String one = editor.constant("/pooling/one", Tensor.scalar(1f));
    String far = editor.constant("/pooling/far", Tensor.scalar(1e4f));
    String open = editor.node("/pooling/Sub", "Sub", List.of(mask, one));
    String bias = editor.node("/pooling/Mul", "Mul", List.of(open, far));
    String masked = editor.node("/pooling/Add", "Add", List.of(scores, bias));
    Map<String, Attribute> tokens = Map.of("axis", Attribute.of(1L));
    String weights = editor.node("/pooling/Softmax", "Softmax", List.of(masked), tokens);
    return sum(editor, "/pooling", editor.node("/pooling/Mul", "Mul", List.of(vectors, weights)));
  }

  private static String sum(GraphEditor editor, String scope, String vectors) {
    String axis = editor.constant(scope + "/axis", Tensor.vector(1));
    Map<String, Attribute> drop = Map.of("keepdims", Attribute.of(0L));
    return editor.node(scope + "/ReduceSum", "ReduceSum", List.of(vectors, axis), drop);
  }

  private static String mean(GraphEditor editor, String scope, String vectors, String mask) {
    String kept = editor.node(scope + "/Mul", "Mul", List.of(vectors, mask));
    String one = editor.constant(scope + "/one", Tensor.scalar(1f));
    String count = editor.node(scope + "/Max", "Max", List.of(sum(editor, scope, mask), one));
    return editor.node(scope + "/Div", "Div", List.of(sum(editor, scope, kept), count));
  }

  /** Pairs of neighbours share the vectors of a table by the remainder of a·1000003 + b. */
  private String withNgrams(GraphEditor editor, String x, String mask, SplittableRandom random) {
    String table = "ngrams.weight";
    editor.initializer(table, normal(random, ngramBuckets, ngramSize));
    String first = slice(editor, "first", IDS, 0, -1);
    String next = slice(editor, "next", IDS, 1, Long.MAX_VALUE);
    String factor = editor.constant("/ngrams/factor", Tensor.scalar(HASH_FACTOR));
    String buckets = editor.constant("/ngrams/buckets", Tensor.scalar((long) ngramBuckets));
    String product = editor.node("/ngrams/Mul", "Mul", List.of(first, factor));
    String hash = editor.node("/ngrams/Add", "Add", List.of(product, next));
    String whole = editor.node("/ngrams/Div", "Div", List.of(hash, buckets));
    String below = editor.node("/ngrams/Mul", "Mul", List.of(whole, buckets));
    String bucket = editor.node("/ngrams/Sub", "Sub", List.of(hash, below));
    String vectors = editor.node("/ngrams/Gather", "Gather", List.of(table, bucket));
    String both = slice(editor, "mask", mask, 1, Long.MAX_VALUE);
    String mean = mean(editor, "/ngrams", vectors, both);
    Map<String, Attribute> last = Map.of("axis", Attribute.of(-1L));
    return editor.node("/ngrams/Concat", "Concat", List.of(x, mean), last);
  }

  private static String slice(GraphEditor editor, String part, String value, long from, long to) {
    String scope = "/ngrams/" + part;
    String starts = editor.constant(scope + "/starts", Tensor.vector(from));
    String ends = editor.constant(scope + "/ends", Tensor.vector(to));
    String axes = editor.constant(scope + "/axes", Tensor.vector(1));
    return editor.node(scope + "/Slice", "Slice", List.of(value, starts, ends, axes));
  }

  private String hidden(
      GraphEditor editor, String x, int width, boolean residual, SplittableRandom random) {
    String in = dropped(editor, "/up", x);
    String up = linear(editor, "up", in, initialisation.draw(random, width, hidden));
    String active = editor.node("/up/" + activation.op(), activation.op(), List.of(up));
    if (!residual) {
      return active;
    }
    // The second layer starts at zero, so that the student starts as the teacher's head on its
    // answers.
    String down = linear(editor, "down", active, Tensor.zeros(DType.FLOAT32, width, hidden));
    return editor.node("/down/residual/Add", "Add", List.of(x, down));
  }

  private void head(
      GraphEditor editor,
      Teacher teacher,
      int width,
      boolean teachersHead,
      SplittableRandom random) {
    String x = dropped(editor, "/classifier", FEATURES);
    Tensor weight;
    Tensor bias;
    if (teachersHead) {
      LinearSite site = teacher.requiredHead();
      Graph graph = teacher.model().graph();
      Tensor own = graph.initializer(site.weight()).cast(DType.FLOAT32);
      weight = site.inFirst() ? own.transposed(1, 0) : own;
      bias =
          site.bias() == null
              ? Tensor.zeros(DType.FLOAT32, weight.dim(0))
              : graph.initializer(site.bias()).cast(DType.FLOAT32);
    } else {
      weight = initialisation.draw(random, width, teacher.classes());
      bias = Tensor.zeros(DType.FLOAT32, teacher.classes());
    }
    linear(editor, "classifier", x, weight, bias, PooledHead.LOGITS);
  }

  private String dropped(GraphEditor editor, String scope, String x) {
    if (dropout == 0) {
      return x;
    }
    String ratio = editor.constant(scope + "/ratio", Tensor.scalar((float) dropout));
    return editor.node(scope + "/Dropout", "Dropout", List.of(x, ratio));
  }

  private static String linear(GraphEditor editor, String module, String x, Tensor weight) {
    String output = editor.freshName("/" + module + "/Add_output_0");
    return linear(editor, module, x, weight, Tensor.zeros(DType.FLOAT32, weight.dim(0)), output);
  }

  private static String linear(
      GraphEditor editor, String module, String x, Tensor weight, Tensor bias, String output) {
    editor.initializer(module + ".weight", weight);
    editor.initializer(module + ".bias", bias);
    String scope = "/" + module + "/";
    Map<String, Attribute> swap = Map.of("perm", Attribute.ofInts(1, 0));
    String transposed =
        editor.node(scope + "Transpose", "Transpose", List.of(module + ".weight"), swap);
    String product = editor.node(scope + "MatMul", "MatMul", List.of(x, transposed));
    List<String> sum = List.of(product, module + ".bias");
    editor.add(Node.of(scope + "Add", "Add", sum, List.of(output), Map.of()));
    return output;
  }

  private static Tensor normal(SplittableRandom random, long rows, int size) {
    float[] values = new float[Math.toIntExact(rows * size)];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (RANDOM_DEVIATION * random.nextGaussian());
    }
    return Tensor.ofFloats(new long[] {rows, size}, values);
  }
}

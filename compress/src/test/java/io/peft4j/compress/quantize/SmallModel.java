package io.peft4j.compress.quantize;

import io.peft4j.data.BatchSource;
import io.peft4j.engine.OutputDifference;
import io.peft4j.engine.Program;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;

/** A language model of one gated block whose head is tied to its embedding. */
final class SmallModel {
  static final int VOCABULARY = 61;
  static final int HIDDEN = 32;

  private SmallModel() {}

  /** ids [batch, sequence] to logits [batch, sequence, 61]: MatMul, Gemm, tied Gather and head. */
  static Graph tied() {
    Random random = new Random(11);
    GraphEditor editor = new GraphEditor("tied");
    editor.input(Value.of("input_ids", DType.INT64, "batch", "sequence"));
    editor.initializer("embed.weight", normal(random, VOCABULARY, HIDDEN));
    editor.initializer("up.weight", normal(random, HIDDEN, 2 * HIDDEN));
    editor.initializer("gate.weight", normal(random, HIDDEN, 2 * HIDDEN));
    editor.initializer("up.bias", normal(random, 2 * HIDDEN));
    editor.initializer("down.weight", normal(random, HIDDEN, 2 * HIDDEN));
    editor.initializer("down.bias", normal(random, HIDDEN));
    editor.initializer("flat", Tensor.vector(-1, 2 * HIDDEN));
    editor.initializer("back", Tensor.vector(0, -1, HIDDEN));
    String x = editor.node("/embed/Gather", "Gather", List.of("embed.weight", "input_ids"));
    String up = editor.node("/up/MatMul", "MatMul", List.of(x, "up.weight"));
    String biased = editor.node("/up/Add", "Add", List.of("up.bias", up));
    String relu = editor.node("/act/Relu", "Relu", List.of(biased));
    String gate = editor.node("/gate/MatMul", "MatMul", List.of(x, "gate.weight"));
    String gated = editor.node("/act/Mul", "Mul", List.of(relu, gate));
    String rows = editor.node("/Reshape", "Reshape", List.of(gated, "flat"));
    String down =
        editor.node(
            "/down/Gemm",
            "Gemm",
            List.of(rows, "down.weight", "down.bias"),
            Map.of(
                "transB", Attribute.of(1L), "alpha", Attribute.of(0.5f), "beta", Attribute.of(2f)));
    String sequence = editor.node("/Shape", "Shape", List.of("input_ids"));
    String size = editor.constant("hidden", Tensor.vector(HIDDEN));
    String shape =
        editor.node("/Concat", "Concat", List.of(sequence, size), Map.of("axis", Attribute.of(0L)));
    String y = editor.node("/Reshape_1", "Reshape", List.of(down, shape));
    String head =
        editor.node(
            "/head/Transpose",
            "Transpose",
            List.of("embed.weight"),
            Map.of("perm", Attribute.ofInts(1, 0)));
    editor.add(Node.of("/head/MatMul", "MatMul", List.of(y, head), List.of("logits"), Map.of()));
    return editor
        .output(Value.of("logits", DType.FLOAT32, "batch", "sequence", VOCABULARY))
        .prune()
        .build();
  }

  /** The same with a channel of the embedding that is 60 times as large as the others. */
  static Graph uneven() {
    Graph graph = tied();
    float[] table = graph.initializer("embed.weight").toFloats();
    float[] up = graph.initializer("up.weight").toFloats();
    float[] gate = graph.initializer("gate.weight").toFloats();
    for (int row = 0; row < VOCABULARY; row++) {
      table[row * HIDDEN + 5] *= 60;
    }
    for (int column = 0; column < 2 * HIDDEN; column++) {
      up[5 * 2 * HIDDEN + column] /= 60;
      gate[5 * 2 * HIDDEN + column] /= 60;
    }
    GraphEditor editor = graph.edit();
    editor.initializer("table", Tensor.ofFloats(new long[] {VOCABULARY, HIDDEN}, table));
    Node pick = graph.nodes().stream().filter(n -> n.is("Gather")).findFirst().orElseThrow();
    editor.replace(pick, pick.withInputs(List.of("table", "input_ids")));
    editor.initializer("up.weight", Tensor.ofFloats(new long[] {HIDDEN, 2 * HIDDEN}, up));
    editor.initializer("gate.weight", Tensor.ofFloats(new long[] {HIDDEN, 2 * HIDDEN}, gate));
    return editor.build();
  }

  /** Rows of four ids, as many as the vocabulary has. */
  static BatchSource rows() {
    return new BatchSource() {
      @Override
      public int size() {
        return VOCABULARY;
      }

      @Override
      public Map<String, Tensor> batch(int[] rows) {
        long[] ids = new long[4 * rows.length];
        for (int i = 0; i < ids.length; i++) {
          ids[i] = (rows[i / 4] * 7L + i % 4 * 11L) % VOCABULARY;
        }
        return Map.of("input_ids", Tensor.ofLongs(new long[] {rows.length, 4}, ids));
      }

      @Override
      public int length(int row) {
        return 4;
      }

      @Override
      public long label(int row) {
        return -1;
      }
    };
  }

  static Map<String, Tensor> ids() {
    return Map.of("input_ids", Tensor.ofLongs(new long[] {2, 4}, 3, 60, 0, 17, 5, 5, 42, 30));
  }

  /** The largest difference of a logit, as a share of the largest logit. */
  static double error(Program expected, Program actual) {
    Tensor right = expected.run(ids()).get("logits");
    double worst = OutputDifference.largest(right, actual.run(ids()).get("logits"));
    return worst / Arrays.stream(right.toDoubles()).map(Math::abs).max().orElseThrow();
  }

  static Tensor normal(Random random, long... shape) {
    float[] values = new float[(int) Tensor.elements(shape)];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return Tensor.ofFloats(shape, values);
  }
}

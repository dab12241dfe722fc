package io.peft4j.compress;

import io.peft4j.PretrainedModel;
import io.peft4j.compress.calibrate.Calibration;
import io.peft4j.data.FeatureBatches;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.math.Matrix;
import java.util.List;
import java.util.Map;
import java.util.Random;

/** Models of linear layers beside each other on one input, and data for them. */
public final class LinearLayers {
  private LinearLayers() {}

  /** Each weight [out, in] as a layer of its own on {@code input}, named by the key. */
  public static PretrainedModel of(Map<String, Tensor> weights) {
    GraphEditor editor = new GraphEditor("layers");
    weights.forEach(
        (name, weight) -> {
          String input = "x" + weight.dim(1);
          editor.input(Value.of(input, DType.FLOAT32, "batch", weight.dim(1)));
          editor.initializer(name + ".weight", weight);
          String turned =
              editor.node(
                  "/" + name + "/Transpose",
                  "Transpose",
                  List.of(name + ".weight"),
                  Map.of("perm", Attribute.ofInts(1, 0)));
          String y = editor.node("/" + name + "/MatMul", "MatMul", List.of(input, turned));
          // behind the layer, so that it is no head
          editor.output(
              Value.of(
                  editor.node("/" + name + "/Relu", "Relu", List.of(y)),
                  DType.FLOAT32,
                  "batch",
                  weight.dim(0)));
        });
    return PretrainedModel.of(editor.build());
  }

  /** Rows for a model whose layers have so many inputs. */
  public static Calibration calibration(Tensor rows) {
    return calibration(Matrix.of(rows));
  }

  public static Calibration calibration(Matrix rows) {
    float[][] values = new float[rows.rows()][rows.columns()];
    for (int i = 0; i < rows.rows(); i++) {
      for (int j = 0; j < rows.columns(); j++) {
        values[i][j] = (float) rows.get(i, j);
      }
    }
    return new Calibration(
        new FeatureBatches("x" + rows.columns(), values, new long[rows.rows()]), 7);
  }

  /** Numbers that differ in size and go together, as those of real layers do. */
  public static Matrix correlated(int rows, int columns, long seed) {
    Random random = new Random(seed);
    Matrix mixed = normal(rows, columns, random).times(normal(columns, columns, random));
    double[] sizes = new double[columns];
    java.util.Arrays.setAll(sizes, i -> 0.1 + 2 * random.nextDouble());
    return mixed.scaledColumns(sizes);
  }

  public static Matrix normal(int rows, int columns, Random random) {
    double[] values = new double[rows * columns];
    java.util.Arrays.setAll(values, i -> (float) random.nextGaussian());
    return Matrix.of(rows, columns, values);
  }
}

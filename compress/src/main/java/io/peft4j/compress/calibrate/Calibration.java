package io.peft4j.compress.calibrate;

import io.peft4j.PeftException;
import io.peft4j.RecipeException;
import io.peft4j.data.BatchSource;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.engine.torch.TorchFunction;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.math.Matrix;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Examples of what a model will be given. Labels are not looked at.
 *
 * @param rows the examples
 * @param batchSize how many are run at once
 */
public record Calibration(BatchSource rows, int batchSize) {
  private static final String MASK = "attention_mask";

  private static final class Functions {
    /** x0 [rows, in] in any type, x1 [rows, 1] with 1 for what counts, x2 the sum so far. */
    static final TorchFunction ADD_PRODUCTS =
        TorchFunction.of(
            "adding up products of inputs",
            3,
            "torch.addmm(x2, torch.t(torch.mul(torch.to(x0, 7), x1)), torch.to(x0, 7))");
  }

  public Calibration {
    if (rows.size() == 0) {
      throw new RecipeException("calibration needs at least one example");
    }
    if (batchSize < 1) {
      throw new RecipeException("batchSize must be at least 1, was " + batchSize);
    }
  }

  /** All rows, 16 at once. */
  public static Calibration of(BatchSource rows) {
    return new Calibration(rows, 16);
  }

  /**
   * Runs the model as far as some of its values and gives the moments of all of them together.
   *
   * @param values names of values with the same last axis
   * @throws PeftException if a value is not finite for some example
   */
  public InputMoments moments(Graph graph, List<String> values) {
    Graph part = upTo(graph, values);
    Tensor sum = null;
    long count = 0;
    try (TorchProgram program = TorchEngine.compile(part, CompileOptions.evaluation())) {
      for (int from = 0; from < rows.size(); from += batchSize) {
        int to = Math.min(rows.size(), from + batchSize);
        Map<String, Tensor> inputs =
            new LinkedHashMap<>(rows.batch(IntStream.range(from, to).toArray()));
        inputs.keySet().retainAll(program.inputNames());
        Map<String, Tensor> outputs = program.run(inputs);
        for (String value : values) {
          Tensor x = flat(outputs.get(value), value);
          Tensor counts = counts(x, inputs.get(MASK));
          long in = x.dim(1);
          Tensor before = sum == null ? Tensor.zeros(DType.FLOAT64, in, in) : sum;
          sum = Functions.ADD_PRODUCTS.apply(x, counts, before).get(0);
          count += Math.round(Arrays.stream(counts.toDoubles()).sum());
        }
      }
    }
    if (sum == null) {
      throw new IllegalArgumentException("no value to calibrate");
    }
    Matrix products = Matrix.of(sum);
    if (!Double.isFinite(products.norm())) {
      throw new PeftException(
          "the model gives numbers that are not finite at '%s' for the calibration data; look at both"
              .formatted(values.get(0)));
    }
    return new InputMoments(products, count);
  }

  private static Graph upTo(Graph graph, List<String> values) {
    GraphEditor editor = graph.edit().freezeAll().clearOutputs();
    values.forEach(value -> editor.output(new Value(value, null, null)));
    return editor.prune().build();
  }

  private static Tensor flat(@Nullable Tensor value, String name) {
    if (value == null || value.rank() == 0) {
      throw new PeftException("value '" + name + "' of the model has no axis of features");
    }
    long in = value.dim(-1);
    return value.reshaped(value.size() / Math.max(1, in), in);
  }

  /** One for each row of x, zero where it belongs to a token that the mask hides. */
  private static Tensor counts(Tensor x, @Nullable Tensor mask) {
    double[] counts = new double[Math.toIntExact(x.dim(0))];
    Arrays.fill(counts, 1);
    if (mask != null && mask.size() == counts.length) {
      long[] tokens = mask.toLongs();
      Arrays.setAll(counts, i -> tokens[i] == 0 ? 0 : 1);
    }
    return Tensor.ofDoubles(new long[] {counts.length, 1}, counts);
  }
}

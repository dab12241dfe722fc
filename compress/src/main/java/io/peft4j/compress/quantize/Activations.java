package io.peft4j.compress.quantize;

import io.peft4j.PeftException;
import io.peft4j.data.BatchSource;
import io.peft4j.engine.InferenceEngines;
import io.peft4j.engine.Program;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.BiConsumer;
import java.util.function.IntConsumer;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Values of a graph as they are on a user's rows, in ONNX Runtime. Positions that an attention mask
 * leaves out do not count.
 */
final class Activations implements AutoCloseable {
  private static final int BATCH = 16;
  private static final String MASK = "attention_mask";

  private final Program program;
  private final Set<String> values;
  private final BatchSource rows;

  /**
   * @param values names to look at: inputs of the graph, or made in it
   */
  Activations(Graph graph, Collection<String> values, BatchSource rows) {
    this.values = Set.copyOf(values);
    this.rows = rows;
    Set<String> known = graph.outputs().stream().map(Value::name).collect(Collectors.toSet());
    graph.inputs().forEach(input -> known.add(input.name()));
    GraphEditor editor = graph.edit();
    this.values.stream()
        .filter(value -> !known.contains(value))
        .sorted()
        .forEach(value -> editor.output(new Value(value, DType.FLOAT32, null)));
    program = InferenceEngines.named(InferenceEngines.ONNX_RUNTIME).compile(editor.build());
  }

  /** What each value spans. */
  Map<String, Extent> extents() {
    Map<String, Extent> extents = new TreeMap<>();
    forEach(
        (name, rows) -> {
          Extent extent = extents.computeIfAbsent(name, key -> new Extent(rows.width()));
          rows.forEach(from -> extent.take(rows.numbers(), from));
        });
    extents.forEach(
        (name, extent) -> {
          if (!extent.isFinite()) {
            throw new PeftException(
                "the value '%s' is not finite on the calibration rows; the model cannot be calibrated"
                    .formatted(name));
          }
        });
    return extents;
  }

  /** How often numbers fall into each of so many equal parts of their extent. */
  Map<String, long[]> histograms(Map<String, Extent> extents, int bins) {
    Map<String, long[]> counts = new LinkedHashMap<>();
    forEach(
        (name, rows) -> {
          Extent extent = extents.get(name);
          long[] count = counts.computeIfAbsent(name, key -> new long[bins]);
          if (extent != null && extent.high() > extent.low()) {
            double low = extent.low();
            double scale = bins / (extent.high() - low);
            rows.forEach(
                from -> {
                  for (int i = from; i < from + rows.width(); i++) {
                    count[(int) Math.min(bins - 1, (rows.numbers()[i] - low) * scale)]++;
                  }
                });
          }
        });
    return counts;
  }

  /**
   * The rows of a value in one batch.
   *
   * @param width the size of the last axis
   * @param kept for each row whether it counts; null if all do
   */
  private record Rows(float[] numbers, int width, boolean @Nullable [] kept) {
    void forEach(IntConsumer consumer) {
      for (int row = 0; row < numbers.length / width; row++) {
        if (kept == null || kept[row]) {
          consumer.accept(row * width);
        }
      }
    }
  }

  private void forEach(BiConsumer<String, Rows> consumer) {
    int[] order =
        IntStream.range(0, rows.size())
            .boxed()
            .sorted(Comparator.comparingInt(rows::length))
            .mapToInt(Integer::intValue)
            .toArray();
    for (int from = 0; from < order.length; from += BATCH) {
      int[] batch = Arrays.copyOfRange(order, from, Math.min(order.length, from + BATCH));
      Map<String, Tensor> inputs = new LinkedHashMap<>(rows.batch(batch));
      inputs.keySet().retainAll(program.inputNames());
      Map<String, Tensor> outputs = program.run(inputs);
      for (String name : values) {
        Tensor tensor = inputs.containsKey(name) ? inputs.get(name) : outputs.get(name);
        if (tensor != null && tensor.size() > 0) {
          consumer.accept(name, rows(tensor, inputs.get(MASK)));
        }
      }
    }
  }

  private static Rows rows(Tensor tensor, @Nullable Tensor mask) {
    int width = tensor.rank() == 0 ? 1 : (int) tensor.dim(-1);
    boolean masked =
        mask != null
            && tensor.rank() == 3
            && mask.rank() == 2
            && tensor.dim(0) == mask.dim(0)
            && tensor.dim(1) == mask.dim(1);
    boolean[] kept = null;
    if (masked && mask != null) {
      long[] flags = mask.toLongs();
      kept = new boolean[flags.length];
      for (int i = 0; i < flags.length; i++) {
        kept[i] = flags[i] != 0;
      }
    }
    return new Rows(tensor.toFloats(), width, kept);
  }

  @Override
  public void close() {
    program.close();
  }
}

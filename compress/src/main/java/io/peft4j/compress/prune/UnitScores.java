package io.peft4j.compress.prune;

import static java.util.Objects.requireNonNull;

import io.peft4j.PeftException;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.task.Loss;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BiConsumer;
import java.util.function.DoubleUnaryOperator;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** Computes {@link Importance}: for each block one number a unit, higher is worth more. */
final class UnitScores {
  private final Dependencies dependencies;
  private final List<Block> blocks;
  private final Map<Block, List<Reading>> readings = new LinkedHashMap<>();
  private final Map<Block, double[]> scores = new LinkedHashMap<>();

  private UnitScores(Dependencies dependencies, List<Block> blocks) {
    this.dependencies = dependencies;
    this.blocks = blocks;
    for (Block block : blocks) {
      readings.put(block, Reading.of(dependencies, block));
      scores.put(block, new double[block.units()]);
    }
  }

  /**
   * The scores of all units.
   *
   * @param data null where the importance needs none
   */
  static Map<Block, double[]> of(
      Dependencies dependencies,
      List<Block> blocks,
      Importance importance,
      @Nullable Calibration data) {
    UnitScores unit = new UnitScores(dependencies, blocks);
    if (importance == Importance.MAGNITUDE) {
      unit.magnitude();
      return unit.scores;
    }
    if (data == null || data.rows().size() == 0) {
      throw new PeftException(
          "importance %s looks at data; give some rows, or take magnitude"
              .formatted(importance.label()));
    }
    switch (importance) {
      case TAYLOR -> unit.taylor(data);
      case TAYLOR_SQUARED -> unit.maskGradients(data, g -> g * g, blocks);
      case FISHER -> unit.maskGradients(data.by(1), g -> g * g, blocks);
      case WEIGHT_TAYLOR -> unit.weights(data, false);
      case WEIGHT_FISHER -> unit.weights(data.by(1), true);
      case ACTIVATION -> unit.activation(data);
      case WANDA -> unit.wanda(data);
      case MAGNITUDE -> throw new IllegalStateException();
    }
    return unit.scores;
  }

  private Graph graph() {
    return dependencies.graph();
  }

  private List<Reading> allReadings(Iterable<Block> of) {
    List<Reading> all = new ArrayList<>();
    of.forEach(block -> all.addAll(readings.getOrDefault(block, List.of())));
    return all;
  }

  private void magnitude() {
    addWeights(name -> squares(graph().initializer(name).toFloats()));
    scores.values().forEach(sums -> Arrays.setAll(sums, i -> Math.sqrt(sums[i])));
  }

  private static double[] squares(float[] values) {
    double[] squares = new double[values.length];
    Arrays.setAll(squares, i -> (double) values[i] * values[i]);
    return squares;
  }

  /**
   * Adds numbers of weights to the units they belong to; a weight that two axes cut counts once.
   */
  private void addWeights(Function<String, double[]> numbers) {
    Map<String, double[]> known = new LinkedHashMap<>();
    for (Block block : blocks) {
      double[] sums = requireNonNull(scores.get(block));
      for (Map.Entry<Axis, int[]> entry : block.reach().entrySet()) {
        Axis axis = entry.getKey();
        if (isWeight(axis.value())) {
          double[] values = known.computeIfAbsent(axis.value(), numbers);
          int inner = inner(graph().initializer(axis.value()).shape(), axis.axis());
          int[] units = entry.getValue();
          for (int i = 0; i < values.length; i++) {
            int unit = units[i / inner % units.length];
            if (unit >= 0) {
              sums[unit] += values[i];
            }
          }
        }
      }
    }
  }

  private boolean isWeight(String value) {
    Tensor tensor = graph().initializers().get(value);
    return tensor != null && tensor.dtype().isFloat();
  }

  private static int inner(long[] shape, int axis) {
    return Math.toIntExact(Tensor.elements(Arrays.copyOfRange(shape, axis + 1, shape.length)));
  }

  /** Adds a function of each unit's dL/dm, m a mask of ones, of each batch. */
  private void maskGradients(Calibration data, DoubleUnaryOperator function, List<Block> of) {
    Graph masked = Reading.masked(graph(), dependencies.shapes(), allReadings(of));
    try (TorchProgram program = compile(data, masked)) {
      for (int number = 0; number < data.batches(); number++) {
        program.backward(data.batch(number), Loss.OUTPUT);
        for (Block block : of) {
          double[] gradient = new double[block.units()];
          for (Reading reading : readings.getOrDefault(block, List.of())) {
            float[] entries = program.parameters().gradient(reading.maskName()).toFloats();
            for (int i = 0; i < entries.length; i++) {
              if (reading.units()[i] >= 0) {
                gradient[reading.units()[i]] += entries[i];
              }
            }
          }
          double[] sums = requireNonNull(scores.get(block));
          Arrays.setAll(sums, i -> sums[i] + function.applyAsDouble(gradient[i]));
        }
        program.parameters().zeroGradients();
      }
    }
  }

  private static TorchProgram compile(Calibration data, Graph graph) {
    Graph judged = data.objective().attach(graph, data.logits());
    Graph loss =
        judged.edit().clearOutputs().output(Value.of(Loss.OUTPUT, DType.FLOAT32)).prune().build();
    return TorchEngine.compile(loss, CompileOptions.evaluation());
  }

  private void taylor(Calibration data) {
    List<Block> heads = blocks.stream().filter(b -> b.structure() == Structure.HEADS).toList();
    List<Block> others = blocks.stream().filter(b -> b.structure() != Structure.HEADS).toList();
    if (!heads.isEmpty()) {
      maskGradients(data, Math::abs, heads);
    }
    for (int number = 0; number < data.batches() && !others.isEmpty(); number++) {
      elementGradients(data, data.batch(number), others);
    }
  }

  /** A mask with a number for each element shows what would be summed before it is. */
  private void elementGradients(Calibration data, Map<String, Tensor> batch, List<Block> of) {
    ValueShapes shapes = ValueShapes.of(graph(), Calibration.inputs(graph(), batch));
    GraphEditor editor = graph().edit().freezeAll();
    List<Reading> all = allReadings(of);
    all.forEach(reading -> reading.mask(editor, shapes.of(reading.at().value())));
    try (TorchProgram program = compile(data, editor.build())) {
      program.backward(batch, Loss.OUTPUT);
      addReadings(of, r -> r.sums(program.parameters().gradient(r.maskName()), Math::abs));
    }
  }

  private void addReadings(Iterable<Block> of, Function<Reading, double[]> numbers) {
    for (Block block : of) {
      double[] sums = requireNonNull(scores.get(block));
      for (Reading reading : readings.getOrDefault(block, List.of())) {
        double[] entries = numbers.apply(reading);
        for (int i = 0; i < entries.length; i++) {
          if (reading.units()[i] >= 0) {
            sums[reading.units()[i]] += entries[i];
          }
        }
      }
    }
  }

  private void weights(Calibration data, boolean fisher) {
    Map<String, double[]> gradients = WeightGradients.of(graph(), weightNames(), data, fisher);
    addWeights(
        name -> {
          float[] weight = graph().initializer(name).toFloats();
          double[] gradient = requireNonNull(gradients.get(name));
          double[] terms = new double[weight.length];
          Arrays.setAll(
              terms,
              i ->
                  fisher
                      ? (double) weight[i] * weight[i] * gradient[i]
                      : Math.abs(weight[i] * gradient[i]));
          return terms;
        });
  }

  private Set<String> weightNames() {
    Set<String> names = new LinkedHashSet<>();
    blocks.forEach(
        block ->
            block.reach().keySet().stream()
                .map(Axis::value)
                .filter(this::isWeight)
                .forEach(names::add));
    return names;
  }

  /** Runs every row by itself, so that padding does not count, and shows what is read. */
  private void eachRow(Calibration data, BiConsumer<Reading, Tensor> use) {
    List<Reading> all = allReadings(blocks);
    GraphEditor editor = graph().edit().freezeAll().clearOutputs();
    all.stream()
        .map(reading -> reading.at().value())
        .distinct()
        .forEach(value -> editor.output(new Value(value, DType.FLOAT32, null)));
    Graph showing = editor.prune().build();
    try (TorchProgram program = TorchEngine.compile(showing, CompileOptions.evaluation())) {
      for (int row = 0; row < data.rows().size(); row++) {
        Map<String, Tensor> inputs = new LinkedHashMap<>(data.rows().batch(new int[] {row}));
        inputs.keySet().retainAll(program.inputNames());
        Map<String, Tensor> shown = program.run(inputs);
        all.forEach(reading -> use.accept(reading, shown.get(reading.at().value())));
      }
    }
  }

  private void activation(Calibration data) {
    IdentityHashMap<Reading, double[]> squares = new IdentityHashMap<>();
    eachRow(
        data,
        (reading, values) -> {
          double count = values.size() / (double) reading.units().length;
          double[] sums = reading.sums(values, Math::abs);
          double[] total = squares.computeIfAbsent(reading, r -> new double[sums.length]);
          Arrays.setAll(total, i -> total[i] + sums[i] / count * (sums[i] / count));
        });
    addReadings(blocks, squares::get);
    scores.values().forEach(sums -> Arrays.setAll(sums, i -> Math.sqrt(sums[i])));
  }

  private void wanda(Calibration data) {
    IdentityHashMap<Reading, double[]> squares = new IdentityHashMap<>();
    eachRow(
        data,
        (reading, values) -> {
          double[] sums = reading.sums(values, v -> v * v);
          double[] total = squares.computeIfAbsent(reading, r -> new double[sums.length]);
          Arrays.setAll(total, i -> total[i] + sums[i]);
        });
    addReadings(
        blocks,
        reading -> {
          double[] terms = requireNonNull(squares.get(reading)).clone();
          double[] absolute = new double[terms.length];
          for (Reading.WeightAxis weight : reading.readers().values()) {
            Tensor tensor = graph().initializer(weight.initializer());
            int inner = inner(tensor.shape(), weight.axis());
            float[] values = tensor.toFloats();
            for (int i = 0; i < values.length; i++) {
              absolute[i / inner % absolute.length] += Math.abs(values[i]);
            }
          }
          Arrays.setAll(terms, i -> absolute[i] * Math.sqrt(terms[i]));
          return terms;
        });
  }
}

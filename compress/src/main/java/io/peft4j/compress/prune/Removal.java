package io.peft4j.compress.prune;

import io.peft4j.PeftException;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.OutputDifference;
import io.peft4j.engine.ProbeInputs;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import java.util.Arrays;
import java.util.BitSet;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Units that go.
 *
 * @param units by block the numbers of its units
 */
record Removal(Map<Block, BitSet> units) {
  /** The largest difference to the masked model, for each unit of the largest output. */
  static final double TOLERANCE = 1e-5;

  /** A graph without the units, and how far its outputs are from those of the masked one. */
  record Outcome(Graph graph, double maskedDifference) {}

  /** The entries that go with the units. */
  Map<Axis, BitSet> entries() {
    Map<Axis, BitSet> entries = new LinkedHashMap<>();
    units.forEach(
        (block, gone) ->
            block
                .reach()
                .forEach(
                    (axis, labels) -> {
                      BitSet of = entries.computeIfAbsent(axis, a -> new BitSet());
                      for (int i = 0; i < labels.length; i++) {
                        if (labels[i] >= 0 && gone.get(labels[i])) {
                          of.set(i);
                        }
                      }
                    }));
    entries.values().removeIf(BitSet::isEmpty);
    return entries;
  }

  int count() {
    return units.values().stream().mapToInt(BitSet::cardinality).sum();
  }

  /** The size of an axis without the entries. */
  static int size(ValueShapes shapes, Map<Axis, BitSet> entries, Axis axis) {
    BitSet gone = entries.get(axis);
    return shapes.size(axis) - (gone == null ? 0 : gone.cardinality());
  }

  /**
   * Cuts the units out and compares with the model that only masks them.
   *
   * @throws PeftException if the two differ
   */
  Outcome apply(Dependencies dependencies) {
    Map<Axis, BitSet> entries = entries();
    Graph cut = Cutting.remove(dependencies, entries);
    Map<String, Tensor> probe = ProbeInputs.of(dependencies.graph());
    Map<String, Tensor> wanted = run(Masking.of(dependencies, entries), probe);
    entries.keySet().forEach(axis -> wanted.remove(axis.value())); // of another shape
    double difference = OutputDifference.largest(wanted, run(cut, probe));
    double scale =
        wanted.values().stream()
            .filter(t -> t.dtype().isFloat())
            .flatMapToDouble(t -> Arrays.stream(t.toDoubles()))
            .map(Math::abs)
            .reduce(1, Math::max);
    if (!(difference <= TOLERANCE * scale)) {
      throw new PeftException(
          "the pruned model differs from the masked one by %.3g, more than %.3g; nothing was pruned: please report model '%s'"
              .formatted(difference, TOLERANCE * scale, dependencies.graph().name()));
    }
    return new Outcome(cut, difference);
  }

  private static Map<String, Tensor> run(Graph graph, Map<String, Tensor> inputs) {
    try (TorchProgram program =
        TorchEngine.compile(graph.edit().freezeAll().build(), CompileOptions.evaluation())) {
      return program.run(inputs);
    }
  }
}

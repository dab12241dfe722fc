package io.peft4j.compress.prune;

import java.util.BitSet;
import java.util.Map;

/** What a graph would count without some units, without cutting them. */
final class Counting {
  private final Dependencies dependencies;
  private final long macs;
  private final long parameters;

  Counting(Dependencies dependencies) {
    this.dependencies = dependencies;
    macs = MacCount.of(dependencies.graph(), dependencies.shapes());
    parameters = dependencies.graph().parameterCount();
  }

  long macs(Removal removal) {
    Map<Axis, BitSet> entries = removal.entries();
    return MacCount.of(
        dependencies.graph(),
        dependencies.shapes(),
        axis -> Removal.size(dependencies.shapes(), entries, axis));
  }

  long parameters(Removal removal) {
    Map<Axis, BitSet> entries = removal.entries();
    long count = 0;
    for (String name : dependencies.graph().parameters()) {
      long product = 1;
      for (int axis = 0; axis < dependencies.shapes().rank(name); axis++) {
        product *= Removal.size(dependencies.shapes(), entries, new Axis(name, axis));
      }
      count += product;
    }
    return count;
  }

  /** Operations that the first unit of a block costs. */
  double macsOf(Block block) {
    return Math.max(1, macs - macs(one(block)));
  }

  /** Parameters of the first unit of a block. */
  double parametersOf(Block block) {
    return Math.max(1, parameters - parameters(one(block)));
  }

  private static Removal one(Block block) {
    BitSet first = new BitSet();
    first.set(0);
    return new Removal(Map.of(block, first));
  }
}

package io.peft4j.compress.distill;

import io.peft4j.PeftException;
import io.peft4j.graph.Graph;
import io.peft4j.task.PooledHead;

/** Graphs that score classes and give nothing else. */
final class Scoring {
  private Scoring() {}

  /** The graph without outputs other than the scores, and without what only they need. */
  static Graph only(Graph graph) {
    return graph.outputs().stream()
        .filter(value -> value.name().equals(PooledHead.LOGITS))
        .findFirst()
        .map(logits -> graph.edit().clearOutputs().output(logits).prune().build())
        .orElseThrow(
            () -> new PeftException("model '" + graph.name() + "' has no output 'logits'"));
  }
}

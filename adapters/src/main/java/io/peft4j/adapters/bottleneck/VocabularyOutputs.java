package io.peft4j.adapters.bottleneck;

import io.peft4j.graph.Dim;
import io.peft4j.graph.GraphView;
import io.peft4j.graph.Value;
import io.peft4j.site.Sites;
import java.util.List;

/**
 * Finds the outputs of a language model: a score for each entry of the table that ids pick from.
 */
final class VocabularyOutputs {
  private final GraphView view;
  private final Sites sites;

  VocabularyOutputs(GraphView view, Sites sites) {
    this.view = view;
    this.sites = sites;
  }

  List<Value> find() {
    return view.graph().outputs().stream().filter(this::isOne).toList();
  }

  private boolean isOne(Value output) {
    List<Dim> shape = output.shape();
    if (shape == null || shape.size() != 3 || !shape.get(2).isFixed()) {
      return false;
    }
    return sites
        .wordEmbeddings(view)
        .filter(table -> table.entries() == shape.get(2).size())
        .isPresent();
  }
}

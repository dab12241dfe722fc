package io.peft4j.adapter;

import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.site.Site;
import io.peft4j.site.Sites;
import java.util.List;

/**
 * No adapter: the model's own layers train, all weights and biases of linear layers, embeddings and
 * normalisations, in float32. Merging puts the trained values in place.
 */
public record WholeModel() implements AdapterMethod {
  @Override
  public String name() {
    return "whole-model";
  }

  @Override
  public AttachedAdapter attach(Graph base, String adapter, long seed) {
    Sites sites = Sites.of(base);
    List<String> paths = sites.modules().stream().map(Site::path).toList();
    GraphEditor editor = base.edit();
    List<AdapterTensor> tensors = SavedModules.train(editor, sites, paths);
    return new AttachedAdapter(adapter, this, base, editor.build(), tensors, paths);
  }

  @Override
  public Graph merge(AttachedAdapter adapter) {
    GraphEditor editor = adapter.base().edit();
    SavedModules.keep(editor, adapter);
    return editor.build();
  }
}

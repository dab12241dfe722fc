package io.peft4j.adapters.freeze;

import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.SavedModules;
import io.peft4j.graph.Graph;
import io.peft4j.site.Site;
import io.peft4j.site.Sites;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A model's own weights with their modules.
 *
 * @param all each once, those of found sites first
 */
public record ModelWeights(Graph graph, Sites sites, List<AdapterTensor> all) {

  static ModelWeights of(Graph graph) {
    Sites sites = Sites.of(graph);
    Map<String, AdapterTensor> weights = new LinkedHashMap<>();
    List<String> paths = sites.modules().stream().map(Site::path).toList();
    SavedModules.train(graph.edit(), sites, paths)
        .forEach(tensor -> weights.putIfAbsent(tensor.initializer(), tensor));
    for (String name : graph.parameters()) {
      if (graph.tags().containsKey(name)) {
        continue; // a head that training added trains by itself
      }
      int dot = name.lastIndexOf('.');
      weights.putIfAbsent(
          name,
          new AdapterTensor(name, dot < 0 ? "" : name.substring(0, dot), name.substring(dot + 1)));
    }
    return new ModelWeights(graph, sites, new ArrayList<>(weights.values()));
  }

  /** The weights of modules that lie within a path. */
  List<AdapterTensor> within(String path) {
    return all.stream()
        .filter(t -> t.module().equals(path) || t.module().startsWith(path + "."))
        .toList();
  }
}

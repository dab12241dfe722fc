package io.peft4j.adapters.tokens;

import io.peft4j.PeftException;
import io.peft4j.RecipeException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.SavedModules;
import io.peft4j.adapter.Targets;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.site.EmbeddingSite;
import io.peft4j.site.LinearSite;
import io.peft4j.site.Site;
import io.peft4j.site.Sites;
import java.util.ArrayList;
import java.util.List;

/**
 * The vectors of single tokens train, all others stay: for special tokens that a model learns to
 * use. An output layer that shares the table sees the trained vectors too.
 *
 * @param targets the tables
 * @param tokenIndices ids of the tokens
 * @param modulesToSave names of modules that are trained whole
 */
public record TrainableTokens(
    Targets targets, List<Integer> tokenIndices, List<String> modulesToSave)
    implements AdapterMethod {
  private static final String DELTA = "trainable_tokens_delta";

  public TrainableTokens {
    tokenIndices = List.copyOf(tokenIndices);
    modulesToSave = List.copyOf(modulesToSave);
    if (tokenIndices.isEmpty()) {
      throw new RecipeException("token_indices is empty; name the ids of the tokens that train");
    }
  }

  @Override
  public String name() {
    return "trainable_tokens";
  }

  @Override
  public AttachedAdapter attach(Graph base, String adapter, long seed) {
    Sites sites = Sites.of(base);
    GraphEditor editor = base.edit().tagging(adapter);
    List<AdapterTensor> tensors = new ArrayList<>();
    List<String> paths = new ArrayList<>();
    for (EmbeddingSite table : tables(sites)) {
      TokenRows trained = new TokenRows(table, tokenIndices);
      AdapterTensor rows = trained.attach(editor, adapter, DELTA);
      tensors.add(rows);
      paths.add(table.path());
      for (LinearSite layer : trained.sharing(sites, base)) {
        tensors.add(new AdapterTensor(rows.initializer(), layer.path(), DELTA));
      }
    }
    tensors.addAll(SavedModules.train(editor, sites, modulesToSave));
    return new AttachedAdapter(adapter, this, base, editor.pruneNodes().build(), tensors, paths);
  }

  private List<EmbeddingSite> tables(Sites sites) {
    List<EmbeddingSite> tables = new ArrayList<>();
    for (Site site : targets.select(sites)) {
      if (!(site instanceof EmbeddingSite table)) {
        throw new PeftException(
            "target '%s' is no table of vectors, which trainable tokens stand in; leave it out"
                .formatted(site.path()));
      }
      tables.add(table);
    }
    return tables;
  }

  @Override
  public Graph merge(AttachedAdapter adapter) {
    GraphEditor editor = adapter.base().edit();
    SavedModules.keep(editor, adapter);
    for (EmbeddingSite table : tables(Sites.of(adapter.base()))) {
      AdapterTensor rows =
          adapter.tensors().stream()
              .filter(t -> t.module().equals(table.path()) && t.parameter().equals(DELTA))
              .findFirst()
              .orElseThrow(() -> new IllegalStateException("lost rows of " + table.path()));
      new TokenRows(table, tokenIndices)
          .merge(editor, adapter.base(), adapter.graph().initializer(rows.initializer()));
    }
    return editor.build();
  }
}

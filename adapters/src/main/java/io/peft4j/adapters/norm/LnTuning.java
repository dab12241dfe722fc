package io.peft4j.adapters.norm;

import io.peft4j.PeftException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.SavedModules;
import io.peft4j.adapter.Targets;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.site.NormSite;
import io.peft4j.site.Site;
import io.peft4j.site.Sites;
import java.util.ArrayList;
import java.util.List;

/**
 * LN tuning (Zhao et al., arXiv 2312.11420): weights and biases of norms train, nothing is added.
 * The model starts unchanged, and merging puts the trained norms in place of the old ones.
 *
 * @param targets norms
 */
public record LnTuning(Targets targets, List<String> modulesToSave) implements AdapterMethod {
  private static final String PARAMETER = "ln_tuning_layers.";

  public LnTuning {
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** LN tuning of every norm. */
  public static LnTuning standard() {
    return new LnTuning(Targets.norms(), List.of());
  }

  public LnTuning on(Targets newTargets) {
    return new LnTuning(newTargets, modulesToSave);
  }

  @Override
  public String name() {
    return "ln-tuning";
  }

  @Override
  public AttachedAdapter attach(Graph base, String adapter, long seed) {
    Sites sites = Sites.of(base);
    GraphEditor editor = base.edit().tagging(adapter);
    List<AdapterTensor> tensors = new ArrayList<>();
    List<String> paths = new ArrayList<>();
    for (Site site : targets.select(sites)) {
      if (!(site instanceof NormSite norm)) {
        throw new PeftException(
            "target '%s' is no norm; LN tuning takes norms only, leave it out"
                .formatted(site.path()));
      }
      SavedModules.add(editor, tensors, norm.weight(), norm.path(), PARAMETER + "weight", false);
      SavedModules.add(editor, tensors, norm.bias(), norm.path(), PARAMETER + "bias", false);
      paths.add(norm.path());
    }
    tensors.addAll(SavedModules.train(editor, sites, modulesToSave));
    return new AttachedAdapter(adapter, this, base, editor.build(), tensors, paths);
  }

  @Override
  public Graph merge(AttachedAdapter adapter) {
    GraphEditor editor = adapter.base().edit();
    SavedModules.keep(editor, adapter);
    return editor.build();
  }
}

package io.peft4j.adapters.linear;

import io.peft4j.PeftException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.SavedModules;
import io.peft4j.adapter.Targets;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.site.LinearSite;
import io.peft4j.site.Site;
import io.peft4j.site.Sites;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/**
 * A method that changes linear layers, each by itself. It says the formula once, in {@link #adapt};
 * attaching, freezing and merging follow from it.
 */
public interface LinearMethod extends AdapterMethod {
  Targets targets();

  /** Modules that are trained whole beside the adapter, such as a head. */
  List<String> modulesToSave();

  /**
   * The new output of a layer, in terms of its input, output, weight and the tensors that the
   * method adds.
   */
  Expression adapt(AdaptedLinear layer);

  /** Why the method cannot be folded into weights; empty if it can. */
  default String unmergeable() {
    return "";
  }

  @Override
  default AttachedAdapter attach(Graph base, String adapter, long seed) {
    Sites sites = Sites.of(base);
    GraphEditor editor = base.edit().tagging(adapter);
    List<AdapterTensor> tensors = new ArrayList<>();
    List<LinearSite> layers = layers(sites);
    SplittableRandom random = new SplittableRandom(seed);
    for (LinearSite site : layers) {
      tensors.addAll(
          AdaptedLinear.adapt(editor, site, layers, adapter, random.split(), this::adapt));
    }
    tensors.addAll(SavedModules.train(editor, sites, modulesToSave()));
    return new AttachedAdapter(
        adapter,
        this,
        base,
        editor.pruneNodes().build(),
        tensors,
        layers.stream().map(LinearSite::path).toList());
  }

  private List<LinearSite> layers(Sites sites) {
    List<LinearSite> layers = new ArrayList<>();
    for (Site site : targets().select(sites)) {
      if (!(site instanceof LinearSite linear)) {
        throw new PeftException(
            "target '%s' is no linear layer; %s takes linear layers only, leave it out"
                .formatted(site.path(), name()));
      }
      layers.add(linear);
    }
    return layers;
  }

  /**
   * {@inheritDoc}
   *
   * <p>Each adapted layer is affine in its input, so its weight and bias are what it gives for unit
   * vectors and for zero.
   */
  @Override
  default Graph merge(AttachedAdapter adapter) {
    if (!unmergeable().isEmpty()) {
      throw new PeftException(
          "%s cannot be merged: %s; keep the adapter apart".formatted(name(), unmergeable()));
    }
    GraphEditor editor = adapter.base().edit();
    List<LinearSite> layers = layers(Sites.of(adapter.base()));
    new LinearMerge(adapter, this, layers).into(editor);
    SavedModules.keep(editor, adapter);
    return editor.build();
  }
}

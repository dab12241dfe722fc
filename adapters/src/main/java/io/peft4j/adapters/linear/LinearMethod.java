package io.peft4j.adapters.linear;

import io.peft4j.PeftException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.SavedModules;
import io.peft4j.adapter.Targets;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.site.ConvSite;
import io.peft4j.site.LinearSite;
import io.peft4j.site.Site;
import io.peft4j.site.Sites;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
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

  /**
   * How many axes the kernels of convolutions may have that the method takes beside linear layers;
   * none by itself. One that takes them makes its output of {@link AdaptedLinear#weight}, {@link
   * AdaptedLinear#applied} and what is built on these, so that it holds for patches too.
   */
  default Set<Integer> kernelAxes() {
    return Set.of();
  }

  /** Why the method cannot be folded into weights; empty if it can. */
  default String unmergeable() {
    return "";
  }

  @Override
  default AttachedAdapter attach(Graph base, String adapter, long seed) {
    Sites sites = Sites.of(base);
    GraphEditor editor = base.edit().tagging(adapter);
    List<AdapterTensor> tensors = new ArrayList<>();
    Map<LinearSite, Optional<Kernels>> targets = layers(base, sites);
    List<LinearSite> layers = List.copyOf(targets.keySet());
    SplittableRandom random = new SplittableRandom(seed);
    targets.forEach(
        (site, kernels) ->
            tensors.addAll(
                AdaptedLinear.adapt(
                    editor,
                    site,
                    kernels.orElse(null),
                    layers,
                    adapter,
                    random.split(),
                    this::adapt)));
    tensors.addAll(SavedModules.train(editor, sites, modulesToSave()));
    return new AttachedAdapter(
        adapter,
        this,
        base,
        editor.pruneNodes().build(),
        tensors,
        layers.stream().map(LinearSite::path).toList());
  }

  /** What the method is aimed at, in the model's order; of convolutions the kernels too. */
  private Map<LinearSite, Optional<Kernels>> layers(Graph base, Sites sites) {
    Map<LinearSite, Optional<Kernels>> layers = new LinkedHashMap<>();
    for (Site site : targets().select(sites)) {
      if (site instanceof LinearSite linear) {
        layers.put(linear, Optional.empty());
      } else if (site instanceof ConvSite conv
          && kernelAxes().contains(base.initializer(conv.weight()).rank() - 2)) {
        Kernels kernels = new Kernels(conv, base.initializer(conv.weight()));
        layers.put(kernels.layer(), Optional.of(kernels));
      } else {
        String kernels =
            kernelAxes().isEmpty()
                ? " only"
                : " and convolutions whose kernels have axes in number "
                    + kernelAxes().stream().sorted().toList();
        throw new PeftException(
            "target '%s' is no linear layer; %s takes linear layers%s, leave it out"
                .formatted(site.path(), name(), kernels));
      }
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
    new LinearMerge(adapter, this, layers(adapter.base(), Sites.of(adapter.base()))).into(editor);
    SavedModules.keep(editor, adapter);
    return editor.build();
  }
}

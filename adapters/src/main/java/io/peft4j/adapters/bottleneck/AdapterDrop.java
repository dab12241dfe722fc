package io.peft4j.adapters.bottleneck;

import io.peft4j.PeftException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapters.adapterhub.WithHead;
import io.peft4j.graph.GraphEditor;
import java.util.ArrayList;
import java.util.List;

/**
 * Bottlenecks taken out of layers after training (AdapterDrop, Rücklé et al. 2021, arXiv
 * 2010.11918): the model is faster and, where it was trained for that with {@code drop_first},
 * about as good.
 */
public final class AdapterDrop {
  private AdapterDrop() {}

  /**
   * The same adapter without its bottlenecks in some layers.
   *
   * @param layers their numbers, from 0
   * @throws PeftException if the adapter is no bottleneck adapter
   */
  public static AttachedAdapter without(AttachedAdapter adapter, List<Integer> layers) {
    AttachedAdapter fewer =
        dropped(adapter.method(), layers).attach(adapter.base(), adapter.name(), 0);
    GraphEditor editor = fewer.graph().edit();
    for (AdapterTensor tensor : fewer.tensors()) {
      editor.initializer(tensor.initializer(), adapter.graph().initializer(tensor.initializer()));
    }
    return fewer.withGraph(editor.build());
  }

  private static AdapterMethod dropped(AdapterMethod method, List<Integer> layers) {
    if (method instanceof WithHead with && with.method() instanceof Bottleneck bottleneck) {
      return new WithHead(without(bottleneck, layers), with.modulesToSave(), with.head());
    }
    if (method instanceof Bottleneck bottleneck) {
      return without(bottleneck, layers);
    }
    throw new PeftException(
        "%s has no bottlenecks to leave out; AdapterDrop takes bottleneck adapters"
            .formatted(method.name()));
  }

  private static Bottleneck without(Bottleneck bottleneck, List<Integer> layers) {
    List<Integer> all = new ArrayList<>(bottleneck.leaveOut());
    all.addAll(layers);
    return bottleneck.toBuilder().optLeaveOut(all).build();
  }
}

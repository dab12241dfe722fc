package io.peft4j.adapter;

import io.peft4j.graph.DType;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.site.ConvSite;
import io.peft4j.site.EmbeddingSite;
import io.peft4j.site.LinearSite;
import io.peft4j.site.NormSite;
import io.peft4j.site.Site;
import io.peft4j.site.Sites;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Modules that are trained whole beside an adapter ({@code modules_to_save}), a head for example.
 */
public final class SavedModules {
  private SavedModules() {}

  /**
   * Lets the weights of the named modules train, in float32.
   *
   * @param names module names, each the whole path or parts of it between dots; one that the model
   *     lacks is passed over, as PEFT always names several heads
   * @return the trained tensors
   */
  public static List<AdapterTensor> train(GraphEditor editor, Sites sites, List<String> names) {
    List<AdapterTensor> tensors = new ArrayList<>();
    for (Site site : sites.modules()) {
      if (names.stream().noneMatch(name -> RestrictedTargets.isWithin(site.path(), name))) {
        continue;
      }
      if (site instanceof LinearSite linear) {
        add(editor, tensors, linear.weight(), site.path(), "weight", linear.storedTransposed());
        add(editor, tensors, linear.bias(), site.path(), "bias", false);
      } else if (site instanceof NormSite norm) {
        add(editor, tensors, norm.weight(), site.path(), "weight", false);
        add(editor, tensors, norm.bias(), site.path(), "bias", false);
      } else if (site instanceof EmbeddingSite embedding) {
        add(editor, tensors, embedding.weight(), site.path(), "weight", false);
      } else if (site instanceof ConvSite conv) {
        add(editor, tensors, conv.weight(), site.path(), "weight", false);
        add(editor, tensors, conv.bias(), site.path(), "bias", false);
      }
    }
    return tensors;
  }

  /**
   * Lets one weight train, in float32.
   *
   * @param initializer null for one that the module does not have
   * @param path of its module
   * @param parameter its name within it
   * @param transposed whether files hold it with its axes the other way round
   */
  public static void add(
      GraphEditor editor,
      List<AdapterTensor> tensors,
      @Nullable String initializer,
      String path,
      String parameter,
      boolean transposed) {
    Tensor tensor = initializer == null ? null : editor.initializer(initializer);
    if (initializer == null || tensor == null) {
      return;
    }
    editor.initializer(initializer, tensor.cast(DType.FLOAT32));
    editor.train(initializer);
    tensors.add(new AdapterTensor(initializer, path, parameter, transposed));
  }

  /**
   * Puts the trained values of saved modules into a graph that is being merged, in the graph's own
   * types.
   */
  public static void keep(GraphEditor merged, AttachedAdapter adapter) {
    for (AdapterTensor tensor : adapter.tensors()) {
      Tensor original = merged.initializer(tensor.initializer());
      if (original != null && adapter.graph().trainable().contains(tensor.initializer())) {
        Tensor trained = adapter.graph().initializer(tensor.initializer());
        merged.initializer(tensor.initializer(), trained.cast(original.dtype()));
      }
    }
  }
}

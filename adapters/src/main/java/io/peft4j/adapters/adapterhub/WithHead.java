package io.peft4j.adapters.adapterhub;

import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.SavedModules;
import io.peft4j.adapters.compose.Attachment;
import io.peft4j.adapters.compose.ComposableMethod;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.train.StepRule;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A method with a head beside it: modules of the model that are trained whole, or a head of
 * AdapterHub's own kind in their place.
 *
 * @param method the method
 * @param modulesToSave names of modules that are trained whole; those that a model lacks are passed
 *     over
 * @param head a head that makes the logits in place of the model's own; null for none
 */
public record WithHead(
    ComposableMethod method, List<String> modulesToSave, @Nullable ClassificationHead head)
    implements ComposableMethod, StepRule.Source {
  /** A method with modules that are trained whole; the method alone if there are none. */
  public static ComposableMethod of(ComposableMethod method, List<String> modulesToSave) {
    return modulesToSave.isEmpty() ? method : new WithHead(method, modulesToSave, null);
  }

  public WithHead {
    modulesToSave = List.copyOf(modulesToSave);
  }

  @Override
  public String name() {
    return method.name();
  }

  @Override
  public Depth depth() {
    return method.depth();
  }

  @Override
  public StepRule rule(AttachedAdapter adapter) {
    return method instanceof StepRule.Source source ? source.rule(adapter) : StepRule.NONE;
  }

  @Override
  public void add(Attachment at) {
    String name = at.adapter();
    method.add(at);
    at.named(name);
    SavedModules.train(at.editor(), at.sites(), modulesToSave).forEach(at::add);
    if (head != null) {
      head.add(at);
    }
  }

  @Override
  public Graph merge(AttachedAdapter adapter) {
    GraphEditor merged = method.merge(adapter).edit();
    SavedModules.keep(merged, adapter);
    if (head == null) {
      return merged.build();
    }
    Attachment at = Attachment.begin(merged.build(), adapter.name(), 0);
    head.add(at);
    GraphEditor editor = at.end(this, adapter.name()).graph().edit();
    for (AdapterTensor tensor : adapter.tensors()) {
      if (tensor.parameter().startsWith(ClassificationHead.PREFIX)) {
        editor.initializer(tensor.initializer(), adapter.graph().initializer(tensor.initializer()));
      }
    }
    return editor.build();
  }
}

package io.peft4j.adapters.freeze;

import io.peft4j.RecipeException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.SavedModules;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.train.StepRule;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Trains chosen weights of the model itself, in float32, and freezes all others; nothing is added
 * to the model but casts where it computes in another type. Selections can be joined: {@code
 * FreezeMask.topLayers(2).and(FreezeMask.head())}.
 *
 * @param selections what trains; a weight that several name trains once
 * @param gradualUnfreezing over which share of the training the selected layers thaw one after
 *     another, the last layer first (ULMFiT: Howard and Ruder 2018, arXiv 1801.06146); of n groups
 *     group k, from 0, begins with step k share/n of all. 0 for all from the start
 */
public record FreezeMask(List<Selection> selections, double gradualUnfreezing)
    implements AdapterMethod, StepRule.Source {
  public static final String NAME = "freeze-mask";

  public FreezeMask {
    selections = List.copyOf(selections);
    if (!(gradualUnfreezing >= 0 && gradualUnfreezing <= 1)) {
      throw new RecipeException(
          "gradual_unfreezing must be a share from 0 to 1, was " + gradualUnfreezing);
    }
    if (selections.isEmpty()) {
      throw new RecipeException("selections: a freeze mask needs at least one");
    }
  }

  private static FreezeMask of(Selection selection) {
    return new FreezeMask(List.of(selection), 0);
  }

  /** Every weight: full fine-tuning. What batch norms measure (running statistics) stays. */
  public static FreezeMask all() {
    return of(new Selection.All());
  }

  /**
   * The model's head: the layer that makes its output, and those that share its module. On an
   * encoder without a head that is nothing of the model's own, and training adds a head; a model
   * that gives logits by anything but a linear layer is an error when attached.
   */
  public static FreezeMask head() {
    return of(new Selection.Head());
  }

  /**
   * Every bias, of linear layers, convolutions and norms alike (BitFit: Zaken et al. 2021, arXiv
   * 2106.10199); a model without one is an error when attached.
   */
  public static FreezeMask bias() {
    return of(new Selection.Bias());
  }

  /** Scale and shift of every norm; a model without one is an error when attached. */
  public static FreezeMask norm() {
    return of(new Selection.Norm());
  }

  /**
   * The last layers of each stack, norms included.
   *
   * @param count how many; more than there are is an error when attached
   */
  public static FreezeMask topLayers(int count) {
    return of(new Selection.TopLayers(count));
  }

  /**
   * Weights by their names, or modules by their paths or the ends of them; one that matches nothing
   * is an error when attached.
   */
  public static FreezeMask named(List<String> names) {
    return of(new Selection.Named(names));
  }

  /** What either of both selects. */
  public FreezeMask and(FreezeMask other) {
    List<Selection> joined = new ArrayList<>(selections);
    joined.addAll(other.selections);
    return new FreezeMask(joined, gradualUnfreezing);
  }

  /** The same, thawing layer by layer over a share of the training. */
  public FreezeMask gradually(double share) {
    return new FreezeMask(selections, share);
  }

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public AttachedAdapter attach(Graph base, String adapter, long seed) {
    ModelWeights weights = ModelWeights.of(base);
    List<AdapterTensor> tensors = weights.chosen(selections);
    GraphEditor editor = base.edit().tagging(adapter);
    tensors.forEach(tensor -> train(editor, tensor.initializer(), base));
    List<String> modules = tensors.stream().map(AdapterTensor::module).distinct().toList();
    if (gradualUnfreezing > 0) {
      Thaw.groups(weights, tensors); // an error before any training starts
    }
    return new AttachedAdapter(adapter, this, base, editor.build(), tensors, modules);
  }

  /** Where the model computes in another type, its nodes are given the weight in that type. */
  static void train(GraphEditor editor, String name, Graph base) {
    Tensor own = base.initializer(name);
    editor.initializer(name, own.cast(DType.FLOAT32)).train(name);
    boolean typed = base.nodes().stream().anyMatch(n -> n.uses().contains(name) && !n.is("Cast"));
    if (own.dtype() != DType.FLOAT32 && typed) {
      Map<String, Attribute> to = Map.of("to", Attribute.of((long) own.dtype().onnxCode()));
      String cast = editor.node("/" + name + "/Cast", "Cast", List.of(name), to);
      editor.replaceUses(name, cast, node -> node.is("Cast"));
    }
  }

  @Override
  public StepRule rule(AttachedAdapter adapter) {
    if (gradualUnfreezing == 0) {
      return StepRule.NONE;
    }
    ModelWeights weights = ModelWeights.of(adapter.base());
    return new Thaw(Thaw.groups(weights, adapter.tensors()), gradualUnfreezing);
  }

  @Override
  public Graph merge(AttachedAdapter adapter) {
    GraphEditor editor = adapter.base().edit();
    SavedModules.keep(editor, adapter);
    return editor.build();
  }
}

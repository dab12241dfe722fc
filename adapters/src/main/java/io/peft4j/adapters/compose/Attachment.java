package io.peft4j.adapters.compose;

import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.GraphView;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.graph.passes.ConstantFolder;
import io.peft4j.site.LinearSite;
import io.peft4j.site.Sites;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * An adapter that is being attached: the model with its layers as they were, and the graph that
 * grows. Methods add from the last layer to the first, so that the values they look up by name in
 * the model are still the ones that are meant.
 */
public final class Attachment extends AddedNodes {
  private final Graph base;
  private final GraphView view;
  private final Sites sites;
  private final List<AdapterTensor> tensors = new ArrayList<>();
  private final Set<String> targets = new LinkedHashSet<>();
  private @Nullable List<TransformerLayer> layers;
  private @Nullable GraphView folded;

  private Attachment(Graph base, Graph separated, String adapter, long seed) {
    super(separated, adapter, seed);
    this.base = base;
    view = new GraphView(separated);
    sites = Sites.of(separated);
  }

  /** Starts to attach an adapter of a name to a model. */
  public static Attachment begin(Graph base, String adapter, long seed) {
    return new Attachment(base, withSeparateOutputs(base, adapter), adapter, seed);
  }

  /**
   * Every output of the model becomes a value of its own, so that the values inside may be rewired
   * without taking over an output's name.
   */
  private static Graph withSeparateOutputs(Graph base, String adapter) {
    GraphEditor editor = base.edit().tagging(adapter);
    Set<String> made =
        base.nodes().stream().flatMap(node -> node.outputs().stream()).collect(Collectors.toSet());
    for (Value output : base.outputs()) {
      if (!made.contains(output.name())) {
        continue;
      }
      String inner = editor.freshName(output.name() + "_inner");
      for (Node node : editor.nodes()) {
        List<String> outputs = node.outputs().stream().map(v -> rename(v, output, inner)).toList();
        Node renamed = node.renamingUses(v -> rename(v, output, inner)).withOutputs(outputs);
        if (!renamed.equals(node)) {
          editor.replace(node, renamed);
        }
      }
      editor.add(
          Node.of(
              "/" + adapter + "/" + output.name(),
              "Identity",
              List.of(inner),
              List.of(output.name()),
              Map.of()));
    }
    return editor.build();
  }

  private static String rename(String value, Value output, String inner) {
    return value.equals(output.name()) ? inner : value;
  }

  /** The adapter, attached. */
  public AttachedAdapter end(AdapterMethod method, String name) {
    return new AttachedAdapter(
        name, method, base, editor().pruneNodes().build(), tensors, List.copyOf(targets));
  }

  public Sites sites() {
    return sites;
  }

  /** The model as it was. */
  public GraphView view() {
    return view;
  }

  /** The model as it was, with what depends on constants alone computed. */
  public GraphView folded() {
    if (folded == null) {
      folded = new GraphView(ConstantFolder.apply(view.graph()));
    }
    return folded;
  }

  /** The model's layers in order. */
  public List<TransformerLayer> layers() {
    if (layers == null) {
      layers = new LayerFinder(view).layers(sites);
    }
    return layers;
  }

  /** The size of the residual stream. */
  public int hiddenSize() {
    return Math.toIntExact(layers().get(0).feedForward().down().outFeatures());
  }

  /** Paths of the modules that AdapterHub's library would add. */
  public ModuleNames names() {
    return ModuleNames.of(layers().get(0).path());
  }

  /** What the first layer reads, [batch, sequence, hidden]. */
  public String embeddings() {
    return layers().get(0).afterAttention().residual();
  }

  /** What a linear layer of the model reads in the graph as it is now. */
  public String input(LinearSite site) {
    return product(site).requiredInput(0);
  }

  /** The node of a linear layer, in the graph as it is now, that multiplies with its weight. */
  public Node product(LinearSite site) {
    Node node = producer(site.output());
    if (!node.is("Add")) {
      return node;
    }
    Node first = view.producer(node.input(0), "MatMul");
    return producer(node.requiredInput(first == null ? 1 : 0));
  }

  /** Notes a module that the adapter changes. */
  public void target(String path) {
    targets.add(path);
  }

  /**
   * Adds a tensor that trains, and the place it has in files.
   *
   * @param module path of the module that it belongs to; empty for the model itself
   * @param parameter its name in the module
   * @return the initializer
   */
  public String parameter(String module, String parameter, Tensor start) {
    String name = stored(module, parameter, start);
    editor().train(name);
    return name;
  }

  /** Adds a tensor that stands in files but does not train. */
  public String stored(String module, String parameter, Tensor value) {
    String name = editor().constant(module.isEmpty() ? parameter : module + "." + parameter, value);
    tensors.add(new AdapterTensor(name, module, parameter));
    return name;
  }

  /** Says that a tensor stands in files in a further place too. */
  public void alias(String initializer, String module, String parameter) {
    tensors.add(new AdapterTensor(initializer, module, parameter));
  }

  /** Notes a tensor of the model that trains beside the adapter's own. */
  public void add(AdapterTensor tensor) {
    tensors.add(tensor);
  }

  /** Lets those of the adapter's tensors stay as they are that a test takes. */
  public void freeze(Predicate<AdapterTensor> which) {
    Set<String> frozen = new HashSet<>();
    tensors.stream().filter(which).forEach(tensor -> frozen.add(tensor.initializer()));
    editor().freeze(frozen);
  }

  /** The probability with which a layer's attention drops its weights in training. */
  public double attentionDropout(TransformerLayer layer) {
    String value = layer.attention().output().input();
    while (true) {
      Node node = view.producer(value);
      if (node == null) {
        return 0;
      }
      if (node.is("MatMul")) {
        Node dropout = view.producer(node.input(0), "Dropout");
        double ratio = dropout == null ? 0 : view.scalar(dropout.input(1));
        return Double.isNaN(ratio) ? 0 : ratio;
      }
      value = node.requiredInput(0);
    }
  }

  /** The node that makes a value of the graph as it is now. */
  public Node producer(String value) {
    return editor().nodes().stream()
        .filter(node -> node.outputs().contains(value))
        .findFirst()
        .orElseThrow(() -> new IllegalStateException("nothing makes " + value));
  }
}

package io.peft4j.graph;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * Makes a new graph out of one. Nodes may be added in any order: {@link #build()} sorts them,
 * keeping the given order where it can.
 */
public final class GraphEditor {
  private String name;
  private final Map<String, Value> inputs = new LinkedHashMap<>();
  private final List<Value> outputs = new ArrayList<>();
  private final List<Node> nodes = new ArrayList<>();
  private final Map<String, Tensor> initializers = new LinkedHashMap<>();
  private final Map<String, String> tags = new LinkedHashMap<>();
  private final Set<String> trainable = new LinkedHashSet<>();
  private final Map<String, Value> values = new LinkedHashMap<>();
  private final Map<String, Integer> opsets = new LinkedHashMap<>();
  private final Map<String, String> metadata = new LinkedHashMap<>();
  private final Set<String> captures = new LinkedHashSet<>();
  private final Set<String> taken = new HashSet<>();
  private String tag = "";

  /** Starts from an empty graph. */
  public GraphEditor(String name) {
    this.name = name;
  }

  GraphEditor(Graph graph) {
    name = graph.name();
    graph.inputs().forEach(this::input);
    outputs.addAll(graph.outputs());
    graph.nodes().forEach(this::add);
    initializers.putAll(graph.initializers());
    taken.addAll(initializers.keySet());
    tags.putAll(graph.tags());
    trainable.addAll(graph.trainable());
    values.putAll(graph.values());
    opsets.putAll(graph.opsets());
    metadata.putAll(graph.metadata());
    graph.captures().forEach(this::capture);
  }

  public GraphEditor name(String newName) {
    name = newName;
    return this;
  }

  /** From now on added nodes and initializers carry this tag. */
  public GraphEditor tagging(String newTag) {
    tag = newTag;
    return this;
  }

  public GraphEditor input(Value value) {
    inputs.put(value.name(), value);
    taken.add(value.name());
    return this;
  }

  /** Takes a value from the graph around this one, which is the body of a control-flow node. */
  public GraphEditor capture(String value) {
    captures.add(value);
    taken.add(value);
    return this;
  }

  public GraphEditor removeInput(String key) {
    inputs.remove(key);
    return this;
  }

  public GraphEditor output(Value value) {
    outputs.add(value);
    return this;
  }

  public GraphEditor clearOutputs() {
    outputs.clear();
    return this;
  }

  public GraphEditor value(Value value) {
    values.put(value.name(), value);
    return this;
  }

  /** Forgets what is known of inner values, for edits that change shapes. */
  public GraphEditor forgetValues() {
    values.clear();
    return this;
  }

  public GraphEditor opset(String domain, int version) {
    opsets.put(domain, version);
    return this;
  }

  public GraphEditor metadata(String key, String text) {
    metadata.put(key, text);
    return this;
  }

  /** Adds a node as it is, with the editor's tag if it has none of its own. */
  public GraphEditor add(Node node) {
    nodes.add(node.tag().isEmpty() && !tag.isEmpty() ? node.withTag(tag) : node);
    taken.addAll(node.outputs());
    return this;
  }

  /** Adds a node with one output named after the node; gives the output's name. */
  public String node(String nodeName, String op, List<String> nodeInputs) {
    return node(nodeName, op, nodeInputs, Map.of());
  }

  /** Adds a node with one output named after the node; gives the output's name. */
  public String node(
      String nodeName, String op, List<String> nodeInputs, Map<String, Attribute> attributes) {
    String base = nodeName + "_output_0";
    String output = freshName(base);
    String number = output.substring(base.length()); // ONNX Runtime wants unique node names
    add(Node.of(nodeName + number, op, nodeInputs, List.of(output), attributes));
    return output;
  }

  /** Adds or replaces an initializer; a new one carries the editor's tag. */
  public GraphEditor initializer(String key, Tensor tensor) {
    if (!initializers.containsKey(key) && !tag.isEmpty()) {
      tags.put(key, tag);
    }
    initializers.put(key, tensor);
    taken.add(key);
    return this;
  }

  /** Adds an initializer under this name or, where it is taken, one like it; gives the name. */
  public String constant(String base, Tensor tensor) {
    String key = freshName(base);
    initializer(key, tensor);
    return key;
  }

  public GraphEditor removeInitializer(String key) {
    initializers.remove(key);
    tags.remove(key);
    trainable.remove(key);
    return this;
  }

  public @Nullable Tensor initializer(String key) {
    return initializers.get(key);
  }

  /** The initializer of this name, which must be there. */
  public Tensor requiredInitializer(String key) {
    Tensor tensor = initializers.get(key);
    checkArgument(tensor != null, "there is no initializer '%s'", key);
    return tensor;
  }

  /** Marks an initializer as one that training changes. */
  public GraphEditor train(String key) {
    checkArgument(initializers.containsKey(key), "there is no initializer '%s' to train", key);
    trainable.add(key);
    return this;
  }

  /** Makes what adapters or heads added the model's own: no tag is left. */
  public GraphEditor untag() {
    nodes.replaceAll(node -> node.withTag(""));
    tags.clear();
    return this;
  }

  /** Lets some initializers train no longer. */
  public GraphEditor freeze(Set<String> keys) {
    trainable.removeAll(keys);
    return this;
  }

  /** Lets nothing train. */
  public GraphEditor freezeAll() {
    trainable.clear();
    return this;
  }

  /** A name that no value has yet: the given one, or it with a number behind it. */
  public String freshName(String base) {
    String candidate = base;
    for (int i = 1; taken.contains(candidate); i++) {
      candidate = base + "_" + i;
    }
    taken.add(candidate);
    return candidate;
  }

  public List<Node> nodes() {
    return List.copyOf(nodes);
  }

  public GraphEditor removeNodes(Predicate<Node> which) {
    nodes.removeIf(which);
    return this;
  }

  /** Puts a node in another's place. */
  public GraphEditor replace(Node old, Node replacement) {
    int index = nodes.indexOf(old);
    checkArgument(index >= 0, "%s is not in the graph", old.describe());
    nodes.set(index, replacement);
    taken.addAll(replacement.outputs());
    return this;
  }

  /**
   * Lets every use of one value, by nodes and as an output, take another one. An output of the
   * graph keeps its name: the new value takes it over and the old one gets a fresh name.
   */
  public GraphEditor replaceUses(String from, String to, Predicate<Node> except) {
    for (int i = 0; i < nodes.size(); i++) {
      Node node = nodes.get(i);
      if (node.uses().contains(from) && !except.test(node)) {
        nodes.set(i, node.renamingUses(v -> v.equals(from) ? to : v));
      }
    }
    if (outputs.stream().anyMatch(v -> v.name().equals(from))) {
      swapNames(from, to);
    }
    return this;
  }

  /** Gives value {@code to} the name {@code from} and the other way round, wherever they stand. */
  private void swapNames(String from, String to) {
    String spare = freshName(from + "_inner");
    UnaryOperator<String> swap = v -> v.equals(from) ? spare : v.equals(to) ? from : v;
    nodes.replaceAll(
        node -> node.renamingUses(swap).withOutputs(node.outputs().stream().map(swap).toList()));
  }

  /** Removes nodes and initializers that no output needs. */
  public GraphEditor prune() {
    Set<String> needed = needed();
    removeNodesBut(needed);
    initializers.keySet().removeIf(key -> !needed.contains(key));
    tags.keySet().retainAll(initializers.keySet());
    trainable.retainAll(initializers.keySet());
    return this;
  }

  /** Removes nodes that no output needs; initializers stay. */
  public GraphEditor pruneNodes() {
    removeNodesBut(needed());
    return this;
  }

  private void removeNodesBut(Set<String> needed) {
    nodes.removeIf(n -> n.outputs().stream().noneMatch(needed::contains));
  }

  /** The values that the outputs are made of. */
  private Set<String> needed() {
    Map<String, Node> producer = new HashMap<>();
    nodes.forEach(n -> n.outputs().forEach(o -> producer.put(o, n)));
    Set<String> needed = new HashSet<>();
    Deque<String> open = new ArrayDeque<>();
    outputs.forEach(v -> open.add(v.name()));
    while (!open.isEmpty()) {
      String value = open.pop();
      if (needed.add(value)) {
        Node node = producer.get(value);
        if (node != null) {
          open.addAll(node.uses());
        }
      }
    }
    return needed;
  }

  /** The new graph, its nodes sorted. */
  public Graph build() {
    return new Graph(
        name,
        List.copyOf(inputs.values()),
        outputs,
        sorted(),
        initializers,
        tags,
        trainable,
        values,
        opsets,
        metadata,
        captures);
  }

  private List<Node> sorted() {
    Map<String, Integer> producer = new HashMap<>();
    for (int i = 0; i < nodes.size(); i++) {
      for (String output : nodes.get(i).outputs()) {
        if (!output.isEmpty()) {
          producer.put(output, i);
        }
      }
    }
    List<Node> order = new ArrayList<>(nodes.size());
    byte[] state = new byte[nodes.size()]; // 0 new, 1 entered, 2 placed
    Deque<Integer> stack = new ArrayDeque<>();
    for (int i = 0; i < nodes.size(); i++) {
      stack.push(i);
      while (!stack.isEmpty()) {
        int top = stack.peek();
        if (state[top] == 2) {
          stack.pop();
          continue;
        }
        boolean ready = true;
        state[top] = 1;
        for (String input : nodes.get(top).uses()) {
          Integer before = producer.get(input);
          if (before != null && state[before] != 2) {
            checkState(
                state[before] == 0,
                "the graph has a cycle through %s",
                nodes.get(before).describe());
            stack.push(before);
            ready = false;
            break;
          }
        }
        if (ready) {
          state[top] = 2;
          order.add(nodes.get(top));
          stack.pop();
        }
      }
    }
    return order;
  }
}

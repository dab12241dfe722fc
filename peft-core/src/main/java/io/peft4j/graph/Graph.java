package io.peft4j.graph;

import io.peft4j.CheckpointFormatException;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.UnaryOperator;
import java.util.stream.Collectors;

/**
 * A model: operations on named values, in an order in which they can be run. Immutable; {@link
 * GraphEditor} makes a new graph out of one. Operators have the meaning of ONNX opset {@link
 * #OPSET}.
 *
 * @param name of the model
 * @param inputs what a run is given; one that is also an initializer may be left out of a run
 * @param outputs what a run gives
 * @param nodes in an order in which every value is made before it is used
 * @param initializers the weights and constants, by name
 * @param tags for initializers that an adapter added: the adapter's name
 * @param trainable names of the initializers that training changes
 * @param values what is known of other values, by name
 * @param opsets versions of further operator sets, by domain
 * @param metadata free text ({@code metadata_props})
 * @param captures for the body of a control-flow node: the values it takes from the graph around
 *     it; empty for a model
 */
public record Graph(
    String name,
    List<Value> inputs,
    List<Value> outputs,
    List<Node> nodes,
    Map<String, Tensor> initializers,
    Map<String, String> tags,
    Set<String> trainable,
    Map<String, Value> values,
    Map<String, Integer> opsets,
    Map<String, String> metadata,
    Set<String> captures) {

  /** The version of ONNX's own operator set whose vocabulary graphs use. */
  public static final int OPSET = 21;

  /**
   * The operator set of what peft4j itself adds to a graph that is compiled; never written to a
   * file.
   */
  public static final String OWN_DOMAIN = "io.peft4j";

  /** The names of constants that a builder makes, which stand in no checkpoint, begin so. */
  public static final String CONSTANT = "constant::";

  /**
   * @throws CheckpointFormatException if a value is used before it is made or made twice, or an
   *     output is not made
   */
  public Graph {
    inputs = List.copyOf(inputs);
    outputs = List.copyOf(outputs);
    nodes = List.copyOf(nodes);
    initializers = Collections.unmodifiableMap(new LinkedHashMap<>(initializers));
    tags = Collections.unmodifiableMap(new LinkedHashMap<>(tags));
    trainable = Collections.unmodifiableSet(new LinkedHashSet<>(trainable));
    values = Collections.unmodifiableMap(new LinkedHashMap<>(values));
    opsets = Collections.unmodifiableMap(new LinkedHashMap<>(opsets));
    metadata = Collections.unmodifiableMap(new LinkedHashMap<>(metadata));
    captures = Collections.unmodifiableSet(new LinkedHashSet<>(captures));
    validate(name, inputs, outputs, nodes, initializers, captures);
  }

  private static void validate(
      String name,
      List<Value> inputs,
      List<Value> outputs,
      List<Node> nodes,
      Map<String, Tensor> initializers,
      Set<String> captures) {
    Set<String> known = new HashSet<>(initializers.keySet());
    known.addAll(captures);
    Set<String> given = new HashSet<>();
    for (Value input : inputs) {
      if (!given.add(input.name())) {
        throw new CheckpointFormatException(
            "graph '%s': the input '%s' is there twice".formatted(name, input.name()));
      }
    }
    known.addAll(given);
    for (Node node : nodes) {
      for (String input : node.uses()) {
        if (!input.isEmpty() && !known.contains(input)) {
          throw new CheckpointFormatException(
              "graph '%s': %s uses '%s', which nothing before it makes"
                  .formatted(name, node.describe(), input));
        }
      }
      for (String output : node.outputs()) {
        if (!output.isEmpty() && !known.add(output)) {
          throw new CheckpointFormatException(
              "graph '%s': %s makes '%s', which is already made before it"
                  .formatted(name, node.describe(), output));
        }
      }
    }
    for (Value output : outputs) {
      if (!known.contains(output.name())) {
        throw new CheckpointFormatException(
            "graph '%s': nothing makes the output '%s'".formatted(name, output.name()));
      }
    }
  }

  /** Names of the inputs that every run must give. */
  public List<String> requiredInputs() {
    return inputs.stream().map(Value::name).filter(n -> !initializers.containsKey(n)).toList();
  }

  /**
   * The initializer of this name.
   *
   * @throws CheckpointFormatException if there is none
   */
  public Tensor initializer(String key) {
    Tensor tensor = initializers.get(key);
    if (tensor == null) {
      throw new CheckpointFormatException("graph '" + name + "' has no initializer '" + key + "'");
    }
    return tensor;
  }

  /**
   * Names of the initializers that are weights: floating point, with at least one axis, and none of
   * a builder's constants.
   */
  public List<String> parameters() {
    return initializers.entrySet().stream()
        .filter(e -> e.getValue().dtype().isFloat() && e.getValue().rank() > 0)
        .map(Map.Entry::getKey)
        .filter(key -> !key.startsWith(CONSTANT))
        .toList();
  }

  /** How many numbers the weights hold. */
  public long parameterCount() {
    return parameters().stream().mapToLong(key -> initializer(key).size()).sum();
  }

  /** How many numbers training changes. */
  public long trainableCount() {
    return trainable.stream().mapToLong(key -> initializer(key).size()).sum();
  }

  /** The body of a control-flow node with other names for what it takes from around it. */
  Graph renamingCaptures(UnaryOperator<String> rename) {
    UnaryOperator<String> outer = v -> captures.contains(v) ? rename.apply(v) : v;
    return new Graph(
        name,
        inputs,
        outputs.stream().map(v -> v.withName(outer.apply(v.name()))).toList(),
        nodes.stream().map(n -> n.renamingUses(outer)).toList(),
        initializers,
        tags,
        trainable,
        values,
        opsets,
        metadata,
        captures.stream().map(rename).collect(Collectors.toSet()));
  }

  public GraphEditor edit() {
    return new GraphEditor(this);
  }

  /** The graph as readable text, a line an input, initializer, node and output; for debugging. */
  public String toText() {
    return GraphText.of(this);
  }
}

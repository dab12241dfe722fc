package io.peft4j.graph;

import io.peft4j.UnsupportedModelException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * One operation.
 *
 * @param name as exporters write it, for example {@code
 *     /encoder/layer.0/intermediate/dense/MatMul}; may be empty
 * @param domain the operator set; empty for ONNX's own
 * @param op the operator
 * @param inputs names of values; an empty name stands for an optional input that is not given
 * @param outputs names of values; an empty name stands for an output that is not wanted
 * @param attributes by name, in their order
 * @param tag the name of the adapter that added this node; empty for the model's own
 * @param metadata what exporters note beside a node ({@code metadata_props})
 */
public record Node(
    String name,
    String domain,
    String op,
    List<String> inputs,
    List<String> outputs,
    Map<String, Attribute> attributes,
    String tag,
    Map<String, String> metadata) {

  /** The metadata key of an Identity through which no gradient flows. */
  public static final String DETACHED = "peft4j.detached";

  /** The metadata key of a RandomNormalLike that gives zeros outside training. */
  public static final String TRAINING_ONLY = "peft4j.training";

  public Node {
    domain = domain.equals("ai.onnx") ? "" : domain;
    inputs = List.copyOf(inputs);
    outputs = List.copyOf(outputs);
    attributes = Collections.unmodifiableMap(new LinkedHashMap<>(attributes));
    metadata = Collections.unmodifiableMap(new LinkedHashMap<>(metadata));
  }

  public static Node of(
      String name,
      String op,
      List<String> inputs,
      List<String> outputs,
      Map<String, Attribute> attributes) {
    return new Node(name, "", op, inputs, outputs, attributes, "", Map.of());
  }

  /** Whether this is the named operator of ONNX's own set. */
  public boolean is(String operator) {
    return domain.isEmpty() && op.equals(operator);
  }

  /** Names of all values that the operation needs: its inputs and what its bodies capture. */
  public List<String> uses() {
    List<String> names = new ArrayList<>(inputs);
    for (Attribute attribute : attributes.values()) {
      attribute.graphs().forEach(body -> names.addAll(body.captures()));
    }
    return names;
  }

  /** The same operation with other names for the values it uses, in its bodies too. */
  public Node renamingUses(UnaryOperator<String> rename) {
    Node renamed = withInputs(inputs.stream().map(rename).toList());
    if (attributes.values().stream().allMatch(a -> a.graphs().isEmpty())) {
      return renamed;
    }
    Map<String, Attribute> bodies = new LinkedHashMap<>();
    attributes.forEach(
        (key, value) -> bodies.put(key, value.mapGraphs(body -> body.renamingCaptures(rename))));
    return renamed.withAttributes(bodies);
  }

  /** The name of an input, or null where it is not given. */
  public @Nullable String input(int index) {
    return index < inputs.size() && !inputs.get(index).isEmpty() ? inputs.get(index) : null;
  }

  /** The name of an input that the operator cannot do without. */
  public String requiredInput(int index) {
    String value = input(index);
    if (value == null) {
      throw new UnsupportedModelException(describe() + " lacks its input " + index);
    }
    return value;
  }

  /** The first output. */
  public String output() {
    return outputs.get(0);
  }

  public long intAttribute(String key, long absent) {
    Attribute value = attributes.get(key);
    if (value == null) {
      return absent;
    }
    if (value instanceof Attribute.IntValue i) {
      return i.value();
    }
    throw wrongKind(key, "an int");
  }

  public float floatAttribute(String key, float absent) {
    Attribute value = attributes.get(key);
    if (value == null) {
      return absent;
    }
    if (value instanceof Attribute.FloatValue f) {
      return f.value();
    }
    throw wrongKind(key, "a float");
  }

  public String stringAttribute(String key, String absent) {
    Attribute value = attributes.get(key);
    if (value == null) {
      return absent;
    }
    if (value instanceof Attribute.StringValue s) {
      return s.value();
    }
    throw wrongKind(key, "a string");
  }

  /** A list of ints, or null where the attribute is not given. */
  public long @Nullable [] intsAttribute(String key) {
    Attribute value = attributes.get(key);
    if (value == null) {
      return null;
    }
    if (value instanceof Attribute.Ints ints) {
      return ints.values().stream().mapToLong(Long::longValue).toArray();
    }
    throw wrongKind(key, "a list of ints");
  }

  private UnsupportedModelException wrongKind(String key, String kind) {
    return new UnsupportedModelException(
        describe() + ": attribute '" + key + "' is not " + kind + "; export the model again");
  }

  public Node withInputs(List<String> newInputs) {
    return new Node(name, domain, op, newInputs, outputs, attributes, tag, metadata);
  }

  public Node withOutputs(List<String> newOutputs) {
    return new Node(name, domain, op, inputs, newOutputs, attributes, tag, metadata);
  }

  public Node withAttributes(Map<String, Attribute> newAttributes) {
    return new Node(name, domain, op, inputs, outputs, newAttributes, tag, metadata);
  }

  public Node withTag(String newTag) {
    return new Node(name, domain, op, inputs, outputs, attributes, newTag, metadata);
  }

  /** Operator and name, for messages: {@code MatMul '/encoder/MatMul'}. */
  public String describe() {
    String operator = domain.isEmpty() ? op : domain + "::" + op;
    String label = name.isEmpty() ? "with output " + (outputs.isEmpty() ? "" : output()) : name;
    return operator + " '" + label + "'";
  }
}

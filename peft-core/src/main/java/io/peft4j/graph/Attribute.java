package io.peft4j.graph;

import java.util.List;
import java.util.function.UnaryOperator;

/** The value of a node's attribute; one case for each kind of ONNX. */
public sealed interface Attribute {
  record IntValue(long value) implements Attribute {}

  record FloatValue(float value) implements Attribute {}

  record StringValue(String value) implements Attribute {}

  record TensorValue(Tensor value) implements Attribute {}

  record GraphValue(Graph value) implements Attribute {}

  record Ints(List<Long> values) implements Attribute {
    public Ints {
      values = List.copyOf(values);
    }
  }

  record Floats(List<Float> values) implements Attribute {
    public Floats {
      values = List.copyOf(values);
    }
  }

  record Strings(List<String> values) implements Attribute {
    public Strings {
      values = List.copyOf(values);
    }
  }

  record Tensors(List<Tensor> values) implements Attribute {
    public Tensors {
      values = List.copyOf(values);
    }
  }

  record Graphs(List<Graph> values) implements Attribute {
    public Graphs {
      values = List.copyOf(values);
    }
  }

  /** The bodies that a control-flow attribute holds; none for the other kinds. */
  default List<Graph> graphs() {
    return this instanceof GraphValue one
        ? List.of(one.value())
        : this instanceof Graphs several ? several.values() : List.of();
  }

  /** The same attribute with each of its bodies changed. */
  default Attribute mapGraphs(UnaryOperator<Graph> change) {
    return this instanceof GraphValue one
        ? new GraphValue(change.apply(one.value()))
        : this instanceof Graphs several
            ? new Graphs(several.values().stream().map(change).toList())
            : this;
  }

  static Attribute of(long value) {
    return new IntValue(value);
  }

  static Attribute of(float value) {
    return new FloatValue(value);
  }

  static Attribute of(String value) {
    return new StringValue(value);
  }

  static Attribute of(Tensor value) {
    return new TensorValue(value);
  }

  static Attribute ofInts(long... values) {
    return new Ints(java.util.Arrays.stream(values).boxed().toList());
  }
}

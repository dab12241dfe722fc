package io.peft4j.graph;

import java.util.List;

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

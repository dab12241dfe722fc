package io.peft4j.adapters.lora;

import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.graph.DType;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** A module of any kind that is being adapted; formulas compute in float32. */
final class Adapted {
  private final GraphEditor editor;
  private final String path;
  private final String adapter;
  private final Set<Node> before;
  private final List<AdapterTensor> tensors = new ArrayList<>();

  Adapted(GraphEditor editor, String path, String adapter) {
    this.editor = editor;
    this.path = path;
    this.adapter = adapter;
    before = new HashSet<>(editor.nodes());
  }

  Expression value(String name) {
    return Expression.of(editor, path, adapter, name);
  }

  /** A value of the given type, as float32. */
  Expression wide(String name, DType dtype) {
    Expression value = value(name);
    return dtype == DType.FLOAT32 ? value : value.cast(DType.FLOAT32);
  }

  Expression parameter(String name, Tensor start) {
    String key = path + "." + name + "." + adapter;
    editor.initializer(key, start);
    editor.train(key);
    tensors.add(new AdapterTensor(key, path, name));
    return value(key);
  }

  Expression constant(String name, Tensor values) {
    return value(editor.constant(path + "." + name + "." + adapter, values));
  }

  List<AdapterTensor> tensors() {
    return tensors;
  }

  /** Lets every use of a value of this type but those made here take a new one. */
  void replaceOutput(String output, DType dtype, Expression replacement) {
    Expression narrow = dtype == DType.FLOAT32 ? replacement : replacement.cast(dtype);
    editor.replaceUses(output, narrow.value(), node -> !before.contains(node));
  }
}

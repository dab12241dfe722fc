package io.peft4j.compress.prune;

import io.peft4j.UnsupportedModelException;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.ProbeInputs;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The shapes that the values of a graph have in one run. */
final class ValueShapes {
  private final Map<String, long[]> shapes;

  private ValueShapes(Map<String, long[]> shapes) {
    this.shapes = shapes;
  }

  /** Those of a run on the probe batch. */
  static ValueShapes of(Graph graph) {
    return of(graph, ProbeInputs.of(graph));
  }

  /**
   * Runs a graph and notes the shape of every value.
   *
   * @throws UnsupportedModelException if the engine lacks one of the operators
   */
  static ValueShapes of(Graph graph, Map<String, Tensor> inputs) {
    Map<String, long[]> shapes = new HashMap<>();
    graph.initializers().forEach((name, tensor) -> shapes.put(name, tensor.shape()));
    inputs.forEach((name, tensor) -> shapes.put(name, tensor.shape()));
    GraphEditor editor = graph.edit().freezeAll().clearOutputs();
    Map<String, String> measured = new HashMap<>();
    for (Node node : graph.nodes()) {
      if (node.attributes().get("value") instanceof Attribute.TensorValue held) {
        shapes.put(node.output(), held.value().shape());
      }
      for (String value : node.outputs()) {
        if (!value.isEmpty() && !shapes.containsKey(value)) {
          String shape = editor.node("/shape_of/" + value, "Shape", List.of(value));
          editor.output(Value.of(shape, DType.INT64, "rank"));
          measured.put(shape, value);
        }
      }
    }
    try (TorchProgram program = TorchEngine.compile(editor.build(), CompileOptions.evaluation())) {
      program.run(inputs).forEach((name, shape) -> shapes.put(measured.get(name), shape.toLongs()));
    }
    return new ValueShapes(shapes);
  }

  /** The sizes of a value. */
  long[] of(String value) {
    long[] shape = shapes.get(value);
    if (shape == null) {
      throw new UnsupportedModelException("the shape of '%s' is not known".formatted(value));
    }
    return shape;
  }

  int rank(String value) {
    return of(value).length;
  }

  /** The size of an axis; a negative axis counts from the last. */
  int size(String value, int axis) {
    long[] shape = of(value);
    return Math.toIntExact(shape[axis < 0 ? axis + shape.length : axis]);
  }

  int size(Axis axis) {
    return size(axis.value(), axis.axis());
  }
}

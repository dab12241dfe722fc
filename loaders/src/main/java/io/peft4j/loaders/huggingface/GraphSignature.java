package io.peft4j.loaders.huggingface;

import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * What the values of a graph are computed from, whatever their names: two values are alike if the
 * same operators lead to them from the same weights, constants and inputs. Dropout and casts of
 * weights to float32 do not count.
 */
final class GraphSignature {
  private final Map<List<Object>, Integer> known;
  private final Map<String, Integer> ids = new HashMap<>();
  private final Set<Integer> made = new HashSet<>();
  private final Graph graph;

  /**
   * @param known numbers of the forms met so far; share it between graphs to compare
   */
  GraphSignature(Graph graph, Map<List<Object>, Integer> known) {
    this.graph = graph;
    this.known = known;
    graph.initializers().forEach((name, tensor) -> ids.put(name, id(leaf(name, tensor))));
    graph.inputs().forEach(input -> ids.put(input.name(), id(List.of("input", input.name()))));
    for (Node node : graph.nodes()) {
      if (node.is("Dropout") || node.is("Identity") || isWeightCast(node)) {
        ids.put(node.output(), of(node.requiredInput(0)));
        continue;
      }
      for (int i = 0; i < node.outputs().size(); i++) {
        ids.put(node.outputs().get(i), id(form(node, i)));
      }
      made.add(of(node.output()));
    }
  }

  private static List<Object> leaf(String name, Tensor tensor) {
    return name.startsWith(Graph.CONSTANT)
        ? List.of("constant", tensor.toString(), Arrays.toString(tensor.toDoubles()))
        : List.of("weight", name);
  }

  private boolean isWeightCast(Node node) {
    String input = node.input(0);
    return node.is("Cast")
        && node.intAttribute("to", 0) == DType.FLOAT32.onnxCode()
        && input != null
        && graph.initializers().containsKey(input)
        && !input.startsWith(Graph.CONSTANT);
  }

  private List<Object> form(Node node, int output) {
    Map<String, Attribute> attributes = new TreeMap<>(node.attributes());
    List<Object> form = new ArrayList<>(List.of(node.domain(), node.op(), output, attributes));
    node.inputs().forEach(input -> form.add(input.isEmpty() ? -1 : of(input)));
    return form;
  }

  private int id(List<Object> form) {
    Integer id = known.putIfAbsent(form, known.size());
    return id == null ? known.size() - 1 : id;
  }

  private int of(String value) {
    Integer id = ids.get(value);
    return id == null ? -2 : id;
  }

  /**
   * How this graph differs from one that can be written, in words; null if it gives nothing but
   * what the other gives.
   */
  @Nullable String difference(GraphSignature other) {
    for (Node node : graph.nodes()) {
      boolean same =
          node.is("Dropout")
              || node.is("Identity")
              || isWeightCast(node)
              || other.made.contains(of(node.output()));
      if (!same) {
        return node.describe() + " is not computed as the configuration says";
      }
    }
    for (Value output : graph.outputs()) {
      if (other.ids.containsKey(output.name()) && of(output.name()) != other.of(output.name())) {
        return "the output '" + output.name() + "' is not what the configuration says";
      }
    }
    for (Value output : other.graph.outputs()) {
      if (!other.covers(output, graph)) {
        return "the output '" + output.name() + "' is missing";
      }
    }
    return null;
  }

  private boolean covers(Value output, Graph written) {
    return written.outputs().stream().anyMatch(v -> v.name().equals(output.name()));
  }
}

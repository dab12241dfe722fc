package io.peft4j.adapters.convert;

import static io.peft4j.adapters.convert.AdapterConversion.refused;

import io.peft4j.UnsupportedModelException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapters.prompt.HubPrefixTuning;
import io.peft4j.adapters.prompt.PrefixTuning;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.OutputDifference;
import io.peft4j.engine.ProbeInputs;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.site.AttentionSite;
import io.peft4j.site.Sites;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Prefixes of one library as the other has them. Both put a layer's keys and values in the same
 * order, [length, layers · (keys, values) · heads · width], but PEFT moves the text to the
 * positions behind the prefix. Where positions turn queries and keys, R(n + i) q · k = R(i) q ·
 * R(-n) k, so turning the prefix's keys back by its length n makes up for that; where positions are
 * embedded, nothing can.
 */
final class PrefixConversion {
  private static final String MOVED =
      "PEFT moves the text to the positions behind the prefix, where AdapterHub leaves it; only on"
          + " a model with rotary positions, whose keys can be turned to make up for that, do both"
          + " compute the same";

  private PrefixConversion() {}

  static AttachedAdapter toHub(AttachedAdapter adapter, PrefixTuning prefix) {
    AttentionSite first = Sites.of(adapter.base()).attentions().get(0);
    if (first.query().outFeatures() != first.key().outFeatures()) {
      throw refused(
          "AdapterHub makes a key for each head of the queries, but '%s' has fewer heads of keys"
              .formatted(first.path()));
    }
    return converted(
        adapter, HubPrefixTuning.flat(prefix.virtualTokens()), prefix.vectors(adapter), -1);
  }

  static AttachedAdapter toPeft(AttachedAdapter adapter, HubPrefixTuning prefix) {
    if (prefix.gating()) {
      throw refused("use_gating lets a gate decide how much counts, which PEFT has not");
    }
    if (!prefix.leaveOut().isEmpty()) {
      throw refused(
          "it leaves out the layers %s, where PEFT's prefix is in all"
              .formatted(prefix.leaveOut()));
    }
    return converted(adapter, PrefixTuning.tokens(prefix.length()), prefix.vectors(adapter), 1);
  }

  /**
   * The vectors under another method, compared with what they were.
   *
   * @param vectors [length, layers · (keys, values) · heads · width]
   * @param sign of the turn
   */
  private static AttachedAdapter converted(
      AttachedAdapter adapter, AdapterMethod to, Tensor vectors, int sign) {
    AttachedAdapter attached = to.attach(adapter.base(), adapter.name(), 0);
    String name = attached.tensors().get(0).initializer();
    Tensor turned = turned(adapter.base(), vectors, sign);
    long[] shape = attached.graph().initializer(name).shape();
    GraphEditor editor = attached.graph().edit();
    editor.initializer(name, Tensor.ofFloats(shape, turned.toFloats()));
    AttachedAdapter result = attached.withGraph(editor.build());
    Map<String, Tensor> probe = ProbeInputs.of(adapter.base());
    double difference =
        OutputDifference.largest(run(adapter.graph(), probe), run(result.graph(), probe));
    if (!(difference <= OutputDifference.tolerance(adapter.base()))) {
      throw refused(MOVED);
    }
    return result;
  }

  private static Map<String, Tensor> run(Graph graph, Map<String, Tensor> inputs) {
    try (TorchProgram program = TorchEngine.compile(graph, CompileOptions.evaluation())) {
      return program.run(inputs);
    }
  }

  /** The keys turned by as many positions as there are vectors. */
  private static Tensor turned(Graph base, Tensor vectors, int sign) {
    int length = (int) vectors.dim(0);
    double[] cos = atPosition(base, "Cos", length);
    double[] sin = atPosition(base, "Sin", length);
    int width = cos.length;
    double[] values = vectors.toDoubles();
    int layer = (int) vectors.dim(1) / Sites.of(base).attentions().size();
    if (layer / 2 % width != 0) {
      throw refused(MOVED);
    }
    double[] result = values.clone();
    for (int i = 0; i < values.length; i++) {
      if (i % layer < layer / 2) {
        int element = i % width;
        boolean upper = element >= width / 2;
        double opposite = upper ? values[i - width / 2] : -values[i + width / 2];
        result[i] = values[i] * cos[element] + sign * opposite * sin[element];
      }
    }
    return Tensor.ofDoubles(vectors.shape(), result).cast(DType.FLOAT32);
  }

  /** What the model's only node of an operator, Cos or Sin, gives for one position. */
  private static double[] atPosition(Graph base, String op, int position) {
    List<Node> nodes = base.nodes().stream().filter(node -> node.is(op)).toList();
    if (nodes.size() != 1) {
      throw refused(MOVED);
    }
    String value = nodes.get(0).outputs().get(0);
    Graph angles =
        base.edit().clearOutputs().output(Value.of(value, DType.FLOAT32)).prune().build();
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    for (Value input : base.inputs()) {
      boolean mask = input.name().equals("attention_mask");
      long[] ids = new long[position + 1];
      Arrays.fill(ids, mask ? 1 : 0);
      DType type = input.dtype() == null ? DType.INT64 : input.dtype();
      inputs.put(input.name(), Tensor.ofLongs(new long[] {1, ids.length}, ids).cast(type));
    }
    CompileOptions options = CompileOptions.evaluation().withPrecision(DType.FLOAT64);
    try (TorchProgram program = TorchEngine.compile(angles, options)) {
      Set<String> asked = Set.copyOf(angles.inputs().stream().map(Value::name).toList());
      inputs.keySet().retainAll(asked);
      double[] all = program.run(inputs).values().iterator().next().toDoubles();
      if (all.length % (position + 1) != 0) {
        throw new UnsupportedModelException(
            "the angles of positions, '%s', are not laid out by position".formatted(value));
      }
      int width = all.length / (position + 1);
      return Arrays.copyOfRange(all, position * width, all.length);
    }
  }
}

package io.peft4j.cli;

import com.google.common.primitives.Floats;
import io.peft4j.AdaptedModel;
import io.peft4j.PeftException;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.Program;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.DType;
import io.peft4j.graph.Dim;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.GraphView;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.task.AddedTokens;
import io.peft4j.task.Loss;
import io.peft4j.task.PooledHead;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** The loss of one batch and the gradient of everything that trains, in evaluation mode. */
final class Gradients {
  private static final String PREFIX = "grad.";

  private Gradients() {}

  /** All outputs, {@code loss}, and {@code grad.<key>} with the keys and shapes of the files. */
  static Map<String, Tensor> of(ModelArguments.Opened opened, RunInputs given) {
    Tensor labels = given.labels();
    if (labels == null) {
      throw new PeftException("--grad needs the tensor 'labels' among the inputs; add it");
    }
    AdaptedModel adapted = opened.adapted();
    Graph graph = adapted == null ? allTrainable(opened.graph()) : adapted.graph();
    Map<String, Tensor> inputs = new LinkedHashMap<>(given.inputs());
    Loss loss = loss(graph, inputs, labels);
    inputs.put(Loss.LABELS, labels);
    Graph judged = loss.attach(graph, PooledHead.LOGITS);
    try (TorchProgram program = TorchEngine.compile(judged, CompileOptions.evaluation())) {
      Map<String, Tensor> results = new LinkedHashMap<>(program.backward(inputs, Loss.OUTPUT));
      requireFitting(labels, results.get(PooledHead.LOGITS), AddedTokens.of(graph).count());
      for (Stored stored : stored(graph, adapted)) {
        Tensor gradient = program.parameters().gradient(stored.initializer());
        results.put(
            PREFIX + stored.key(), stored.transposed() ? gradient.transposed(1, 0) : gradient);
      }
      return results;
    }
  }

  /** Numbers are never spread over scores that have no label of their own. */
  private static void requireFitting(Tensor labels, @Nullable Tensor logits, long addedTokens) {
    if (logits == null) {
      return;
    }
    long[] scores = logits.shape();
    long[] needed =
        labels.dtype() == DType.INT64 ? Arrays.copyOf(scores, scores.length - 1) : scores;
    if (needed.length == 2) {
      needed[1] -= labels.dtype() == DType.INT64 ? addedTokens : 0;
    }
    if (!Arrays.equals(labels.shape(), needed)) {
      throw new PeftException(
          "'labels' is %s, but 'logits' is %s; give labels of the shape %s"
              .formatted(labels, logits, Arrays.toString(needed)));
    }
  }

  /**
   * All weights train, those of 16 bits that are computed with in float32 as float32, so that small
   * gradients are not rounded away.
   */
  private static Graph allTrainable(Graph graph) {
    GraphEditor editor = graph.edit();
    GraphView view = new GraphView(graph);
    for (String name : graph.parameters()) {
      Tensor weight = graph.initializer(name);
      boolean narrow = weight.dtype() == DType.FLOAT16 || weight.dtype() == DType.BFLOAT16;
      if (narrow && view.consumers(name).stream().allMatch(node -> node.is("Cast"))) {
        editor.initializer(name, weight.cast(DType.FLOAT32));
      }
      editor.train(name);
    }
    return editor.build();
  }

  /**
   * How a file holds a trained tensor; several keys may stand for one.
   *
   * @param transposed whether with its axes the other way round
   */
  private record Stored(String initializer, String key, boolean transposed) {}

  private static List<Stored> stored(Graph graph, @Nullable AdaptedModel adapted) {
    List<AdapterTensor> tensors = adapted == null ? List.of() : adapted.adapter().tensors();
    List<Stored> stored = new ArrayList<>();
    graph.trainable().stream()
        .filter(name -> tensors.stream().noneMatch(t -> t.initializer().equals(name)))
        .forEach(name -> stored.add(new Stored(name, name, false)));
    for (AdapterTensor tensor : tensors) {
      if (adapted != null && graph.trainable().contains(tensor.initializer())) {
        stored.add(new Stored(tensor.initializer(), adapted.key(tensor), tensor.transposed()));
      }
    }
    return stored;
  }

  private static Loss loss(Graph graph, Map<String, Tensor> inputs, Tensor labels) {
    Value logits =
        graph.outputs().stream()
            .filter(v -> v.name().equals(PooledHead.LOGITS))
            .findFirst()
            .orElseThrow(
                () ->
                    new PeftException(
                        "--grad needs a model with the output 'logits'; it has %s"
                            .formatted(graph.outputs().stream().map(Value::name).toList())));
    boolean classes = labels.dtype() == DType.INT64;
    if (classes && labels.rank() == 1) {
      return Loss.CROSS_ENTROPY;
    }
    if (classes && labels.rank() == 2) {
      return isCausal(graph, inputs) ? Loss.CAUSAL_CROSS_ENTROPY : Loss.TOKEN_CROSS_ENTROPY;
    }
    if (labels.dtype() == DType.FLOAT32 && labels.rank() == 2) {
      return isRegression(graph, logits) ? Loss.MEAN_SQUARED_ERROR : Loss.BINARY_CROSS_ENTROPY;
    }
    throw new PeftException(
        "'labels' is %s; it must be int64 [B] or [B, T] for classes, or float32 [B, K]"
            .formatted(labels));
  }

  /** By the configuration, else as the library decides: one score is a number to hit. */
  private static boolean isRegression(Graph graph, Value logits) {
    String problem = graph.metadata().getOrDefault("problem_type", "");
    if (!problem.isEmpty()) {
      return problem.equals("regression");
    }
    List<Dim> shape = logits.shape();
    return shape != null && shape.get(shape.size() - 1).equals(Dim.of(1));
  }

  /** By the architecture where the checkpoint names it, else by trying. */
  private static boolean isCausal(Graph graph, Map<String, Tensor> inputs) {
    String architecture = graph.metadata().getOrDefault("architecture", "");
    return architecture.isEmpty()
        ? looksCausal(graph, inputs)
        : architecture.endsWith("ForCausalLM") || architecture.endsWith("LMHeadModel");
  }

  /**
   * Whether the scores of a token do not depend on later tokens. Found by trying, since an ONNX
   * file does not say what it was trained for: the first token's scores must not move when the last
   * token does.
   */
  private static boolean looksCausal(Graph graph, Map<String, Tensor> inputs) {
    Tensor ids = inputs.get("input_ids");
    if (ids == null || ids.rank() != 2 || ids.dim(1) < 2) {
      return false;
    }
    long[] values = ids.toLongs();
    int last = Math.toIntExact(ids.dim(1)) - 1;
    values[last] = values[last] == 0 ? 1 : 0;
    Map<String, Tensor> one = new LinkedHashMap<>(inputs);
    Tensor mask = one.get("attention_mask");
    if (mask != null) {
      long[] ones = new long[Math.toIntExact(mask.size())];
      Arrays.fill(ones, 1);
      one.put("attention_mask", Tensor.ofLongs(mask.shape(), ones).cast(mask.dtype()));
    }
    Map<String, Tensor> other = new LinkedHashMap<>(one);
    other.put("input_ids", Tensor.ofLongs(ids.shape(), values));
    try (Program program = TorchEngine.compile(graph, CompileOptions.evaluation())) {
      return firstScores(program, one).equals(firstScores(program, other));
    }
  }

  /** The scores of the first token of the first row. */
  private static List<Float> firstScores(Program program, Map<String, Tensor> inputs) {
    Tensor logits = program.run(inputs).get(PooledHead.LOGITS);
    return logits == null
        ? List.of()
        : Floats.asList(logits.toFloats()).subList(0, Math.toIntExact(logits.dim(-1)));
  }
}

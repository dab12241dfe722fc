package io.peft4j.adapters.adalora;

import ai.djl.ndarray.NDArray;
import io.peft4j.PeftException;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.PenalizedObjective;
import io.peft4j.engine.torch.TorchParameters;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.task.Objective;
import io.peft4j.train.StepRule;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;

/**
 * Takes triplets away as the budget falls. The importance of an element is |w ∂L/∂w|, that of a
 * triplet the sum over its tensors of the mean of (smoothed importance × its uncertainty).
 */
final class BudgetRule implements StepRule {
  private static final double WARMUP_SHARE = 0.1;
  private static final double FINISH_SHARE = 0.3;

  private final AdaLora method;
  private final List<Triplets> layers;
  private final int start;

  BudgetRule(AdaLora method, List<Triplets> layers) {
    this.method = method;
    this.layers = layers;
    start = layers.stream().mapToInt(Triplets::rank).sum();
  }

  @Override
  public String name() {
    return method.toString();
  }

  @Override
  public Graph prepared(Graph adapted) {
    GraphEditor editor = adapted.edit();
    for (Triplets layer : layers) {
      for (String tensor : layer.tensors()) {
        long[] shape = adapted.initializer(tensor).shape();
        for (String note : List.of(Triplets.mean(tensor), Triplets.spread(tensor))) {
          editor.initializer(note, Tensor.zeros(DType.FLOAT32, shape)).train(note);
        }
      }
      editor.initializer(layer.mask(), AdaptedLinear.filled(1, layer.rank(), 1));
      editor.train(layer.mask());
    }
    return editor.build();
  }

  @Override
  public Objective judging(Objective objective) {
    double weight = method.orthRegWeight();
    return new PenalizedObjective(
        objective, "orthogonality " + weight, new Orthogonality(layers, weight));
  }

  @Override
  public Set<String> owned() {
    Set<String> owned = new HashSet<>();
    for (Triplets layer : layers) {
      for (String tensor : layer.tensors()) {
        owned.add(Triplets.mean(tensor));
        owned.add(Triplets.spread(tensor));
      }
      owned.add(layer.mask());
    }
    return owned;
  }

  private int warmup(int total) {
    return method.tinit() == AdaLora.AUTOMATIC ? (int) (WARMUP_SHARE * total) : method.tinit();
  }

  private int finish(int total) {
    return method.tfinal() == AdaLora.AUTOMATIC ? (int) (FINISH_SHARE * total) : method.tfinal();
  }

  /** The step of the last cut. */
  private int last(int total) {
    return Math.min(total - finish(total), total - 1);
  }

  /** How many triplets may be left after a step. */
  int budget(int step, int total) {
    int target = Math.min(start, method.targetR() * layers.size());
    int warmup = warmup(total);
    int last = last(total);
    if (step >= last) {
      return target;
    } else if (step <= warmup) {
      return start;
    }
    double left = 1 - (double) (step - warmup) / (total - finish(total) - warmup);
    return (int) ((start - target) * (left * left * left) + target);
  }

  @Override
  public void beforeUpdate(TorchParameters parameters, int step, int totalSteps) {
    if (step == 0 && warmup(totalSteps) >= totalSteps - finish(totalSteps)) {
      throw new PeftException(
          "adalora has tinit %d and tfinal %d, which leaves none of %d steps to cut ranks in; lower them or train longer"
              .formatted(warmup(totalSteps), finish(totalSteps), totalSteps));
    }
  }

  @Override
  public void afterUpdate(TorchParameters parameters, int step, int totalSteps) {
    int last = last(totalSteps);
    if (step < totalSteps - finish(totalSteps)) {
      layers.forEach(layer -> layer.tensors().forEach(tensor -> note(parameters, tensor)));
    }
    if (step > last) {
      layers.forEach(layer -> mask(parameters, layer));
    } else if (step == last || (step > warmup(totalSteps) && step % method.deltaT() == 0)) {
      cut(parameters, start - budget(step, totalSteps));
    }
  }

  @Override
  public boolean settled(int steps, int totalSteps) {
    return steps > last(totalSteps);
  }

  /** Smooths a tensor's importance. */
  private void note(TorchParameters parameters, String tensor) {
    NDArray values = parameters.array(tensor);
    NDArray mean = parameters.array(Triplets.mean(tensor));
    NDArray spread = parameters.array(Triplets.spread(tensor));
    try (NDArray gradient = values.getGradient();
        NDArray product = values.mul(gradient);
        NDArray importance = product.abs();
        NDArray share = importance.mul(1 - method.beta1())) {
      mean.muli(method.beta1()).addi(share);
      try (NDArray gap = importance.sub(mean);
          NDArray distance = gap.abs();
          NDArray part = distance.mul(1 - method.beta2())) {
        spread.muli(method.beta2()).addi(part);
      }
    }
  }

  /** Takes away the triplets that matter least, among all layers, and those that equal the last. */
  private void cut(TorchParameters parameters, int gone) {
    if (gone == 0) {
      return;
    }
    List<float[]> scores = new ArrayList<>();
    float[] all = new float[start];
    int next = 0;
    for (Triplets layer : layers) {
      float[] score = scores(parameters, layer);
      scores.add(score);
      System.arraycopy(score, 0, all, next, score.length);
      next += score.length;
    }
    Arrays.sort(all);
    float threshold = all[gone - 1];
    for (int i = 0; i < layers.size(); i++) {
      float[] score = scores.get(i);
      float[] kept = new float[score.length];
      for (int j = 0; j < kept.length; j++) {
        kept[j] = score[j] <= threshold ? 0 : 1;
      }
      parameters.set(layers.get(i).mask(), Tensor.ofFloats(new long[] {kept.length, 1}, kept));
      mask(parameters, layers.get(i));
    }
  }

  private static float[] scores(TorchParameters parameters, Triplets layer) {
    float[] score = new float[layer.rank()];
    add(parameters, layer.a(), 1, score);
    add(parameters, layer.b(), 0, score);
    add(parameters, layer.e(), 1, score);
    return score;
  }

  private static void add(TorchParameters parameters, String tensor, int axis, float[] score) {
    if (score.length == 0) {
      return;
    }
    try (NDArray product =
            parameters.array(Triplets.mean(tensor)).mul(parameters.array(Triplets.spread(tensor)));
        NDArray mean = product.mean(new int[] {axis})) {
      float[] values = mean.toFloatArray();
      for (int i = 0; i < score.length; i++) {
        score[i] += values[i];
      }
    }
  }

  private static void mask(TorchParameters parameters, Triplets layer) {
    parameters.array(layer.e()).muli(parameters.array(layer.mask()));
  }

  @Override
  public AttachedAdapter finished(AttachedAdapter trained) {
    Graph graph = trained.graph();
    Map<String, Integer> ranks = new LinkedHashMap<>();
    Map<String, Tensor> cut = new LinkedHashMap<>();
    for (Triplets layer : layers) {
      float[] mask = graph.initializer(layer.mask()).toFloats();
      int[] kept = IntStream.range(0, mask.length).filter(i -> mask[i] != 0).toArray();
      ranks.put(layer.path(), kept.length);
      cut.put(layer.a(), graph.initializer(layer.a()).selected(0, kept));
      cut.put(layer.b(), graph.initializer(layer.b()).selected(1, kept));
      cut.put(layer.e(), graph.initializer(layer.e()).selected(0, kept));
    }
    AttachedAdapter small = method.ranks(ranks).attach(trained.base(), trained.name(), 0);
    for (AdapterTensor tensor : small.tensors()) {
      cut.putIfAbsent(tensor.initializer(), graph.initializer(tensor.initializer()));
    }
    for (String name : trained.base().trainable()) {
      cut.putIfAbsent(name, graph.initializer(name));
    }
    GraphEditor editor = small.graph().edit();
    cut.forEach(editor::initializer);
    return small.withGraph(editor.build());
  }
}

package io.peft4j.adapters.adamss;

import ai.djl.ndarray.NDArray;
import io.peft4j.PeftException;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.engine.torch.TorchParameters;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.train.StepRule;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Set;

/**
 * Adaptive subspace allocation: freezes the groups that matter least, among all layers, until only
 * so many train. The importance of an element is |w ∂L/∂w|; that of a group the sum over A and B of
 * the mean of (smoothed importance × its uncertainty), both since the last freezing. What is frozen
 * keeps its values and stays frozen. PEFT leaves one group fewer than it is asked for, as it also
 * freezes the last that would stay.
 */
final class SubspaceRule implements StepRule {
  /** One group's tensors in the graph. */
  private record Subspace(String a, String b) {
    List<String> tensors() {
      return List.of(a, b);
    }
  }

  private final Adamss method;
  private final List<Subspace> subspaces = new ArrayList<>();

  /** Initializer of ones and zeros, whether each group still trains. */
  private final String active;

  SubspaceRule(Adamss method, AttachedAdapter adapter) {
    this.method = method;
    active = "adamss.active." + adapter.name();
    for (AdapterTensor tensor : adapter.tensors()) {
      if (tensor.parameter().startsWith(Adamss.A)) {
        String b = Adamss.B + tensor.parameter().substring(Adamss.A.length());
        subspaces.add(new Subspace(tensor.initializer(), initializer(adapter, tensor.module(), b)));
      }
    }
  }

  private static String initializer(AttachedAdapter adapter, String path, String name) {
    return adapter.tensors().stream()
        .filter(t -> t.module().equals(path) && t.parameter().equals(name))
        .map(AdapterTensor::initializer)
        .findFirst()
        .orElseThrow(() -> new NoSuchElementException(path + "." + name));
  }

  /** Where the mean importance of a tensor's elements is noted. */
  private static String mean(String tensor) {
    return tensor + ".importance";
  }

  /** Where the mean distance from that mean is noted. */
  private static String spread(String tensor) {
    return tensor + ".uncertainty";
  }

  private static List<String> notes(String tensor) {
    return List.of(mean(tensor), spread(tensor));
  }

  @Override
  public String name() {
    return method.toString();
  }

  @Override
  public Graph prepared(Graph adapted) {
    GraphEditor editor = adapted.edit();
    for (Subspace subspace : subspaces) {
      for (String tensor : subspace.tensors()) {
        long[] shape = adapted.initializer(tensor).shape();
        for (String note : notes(tensor)) {
          editor.initializer(note, Tensor.zeros(DType.FLOAT32, shape)).train(note);
        }
      }
    }
    return editor
        .initializer(active, AdaptedLinear.filled(1, subspaces.size()))
        .train(active)
        .build();
  }

  @Override
  public Set<String> owned() {
    Set<String> owned = new HashSet<>();
    subspaces.forEach(s -> s.tensors().forEach(tensor -> owned.addAll(notes(tensor))));
    owned.add(active);
    return owned;
  }

  /** How many groups may train after a step that freezes. */
  int budget(int step) {
    double left =
        1 - (double) (step - method.initWarmup()) / (method.finalWarmup() - method.initWarmup());
    int target = method.asaTargetSubspaces();
    return (int)
        (target + (subspaces.size() - target) * Math.pow(left, method.asaScheduleExponent()));
  }

  /** The last step that freezes. */
  private int last() {
    return method.finalWarmup() - method.finalWarmup() % method.maskInterval();
  }

  @Override
  public void beforeUpdate(TorchParameters parameters, int step, int totalSteps) {
    if (step == 0 && (last() < method.initWarmup() || last() >= totalSteps)) {
      throw new PeftException(
          "adamss with use_asa has init_warmup %d, final_warmup %d and mask_interval %d, which leaves %d steps no time to freeze groups in; lower them or train longer"
              .formatted(
                  method.initWarmup(), method.finalWarmup(), method.maskInterval(), totalSteps));
    }
  }

  @Override
  public Set<String> resting(TorchParameters parameters, int step, int totalSteps) {
    float[] flags = parameters.value(active).toFloats();
    Set<String> resting = new HashSet<>();
    for (int i = 0; i < flags.length; i++) {
      if (flags[i] == 0) {
        resting.addAll(subspaces.get(i).tensors());
      }
    }
    return resting;
  }

  @Override
  public void afterUpdate(TorchParameters parameters, int step, int totalSteps) {
    if (step < method.initWarmup() || step > method.finalWarmup()) {
      return;
    }
    float[] flags = parameters.value(active).toFloats();
    for (int i = 0; i < flags.length; i++) {
      if (flags[i] != 0) {
        subspaces.get(i).tensors().forEach(tensor -> note(parameters, tensor));
      }
    }
    if (step % method.maskInterval() == 0) {
      freeze(parameters, flags, budget(step));
    }
  }

  @Override
  public boolean settled(int steps, int totalSteps) {
    return steps > last();
  }

  /** Smooths a tensor's importance; its distance is that from the mean before. */
  private void note(TorchParameters parameters, String tensor) {
    NDArray mean = parameters.array(mean(tensor));
    NDArray spread = parameters.array(spread(tensor));
    NDArray values = parameters.array(tensor);
    try (NDArray gradient = values.getGradient();
        NDArray product = values.mul(gradient);
        NDArray importance = product.abs();
        NDArray gap = importance.sub(mean);
        NDArray distance = gap.abs();
        NDArray part = distance.mul(1 - method.asaUncertaintyBeta());
        NDArray share = importance.mul(1 - method.asaImportanceBeta())) {
      spread.muli(method.asaUncertaintyBeta()).addi(part);
      mean.muli(method.asaImportanceBeta()).addi(share);
    }
  }

  /** Freezes all but the most important groups, and forgets what was noted. */
  private void freeze(TorchParameters parameters, float[] flags, int budget) {
    double[] scores = new double[flags.length];
    for (int i = 0; i < flags.length; i++) {
      scores[i] = flags[i] == 0 ? -1 : score(parameters, subspaces.get(i));
    }
    double[] falling = Arrays.stream(scores).map(s -> -s).sorted().toArray();
    double threshold = budget < scores.length ? -falling[budget] : -1;
    for (int i = 0; i < flags.length; i++) {
      for (String tensor : subspaces.get(i).tensors()) {
        parameters.array(mean(tensor)).muli(0);
        parameters.array(spread(tensor)).muli(0);
      }
      flags[i] = scores[i] <= threshold ? 0 : flags[i];
    }
    parameters.set(active, Tensor.ofFloats(new long[] {flags.length}, flags));
  }

  private static double score(TorchParameters parameters, Subspace subspace) {
    double sum = 0;
    for (String tensor : subspace.tensors()) {
      try (NDArray product = parameters.array(mean(tensor)).mul(parameters.array(spread(tensor)));
          NDArray mean = product.mean()) {
        sum += mean.getFloat();
      }
    }
    return sum;
  }

  @Override
  public AttachedAdapter finished(AttachedAdapter trained) {
    GraphEditor editor = trained.graph().edit();
    owned().forEach(editor::removeInitializer);
    return trained.withGraph(editor.build());
  }
}

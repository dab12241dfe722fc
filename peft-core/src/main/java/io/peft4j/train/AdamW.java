package io.peft4j.train;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import com.google.common.collect.Sets;
import io.peft4j.CheckpointFormatException;
import io.peft4j.engine.torch.TorchParameters;
import io.peft4j.engine.torch.TorchTensors;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.site.LinearSite;
import io.peft4j.site.Sites;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101) as torch computes it: decay p ← p (1 − lr
 * λ), then p ← p − lr / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε). Each parameter counts its own steps.
 * With λ = 0 it is Adam.
 */
public final class AdamW implements AutoCloseable {
  /**
   * Parameters that are treated alike.
   *
   * @param names of the parameters
   * @param rateFactor on the learning rate
   * @param weightDecay λ
   */
  public record Group(Set<String> names, double rateFactor, double weightDecay) {
    public Group {
      names = Set.copyOf(names);
    }

    /** The group without what is not among these names. */
    Group within(Set<String> all) {
      return new Group(Sets.intersection(names, all), rateFactor, weightDecay);
    }
  }

  /** Exponents of forgetting and the stabiliser. */
  public record Settings(double beta1, double beta2, double epsilon) {
    /** torch's defaults: 0.9, 0.999, 1e-8. */
    public static Settings standard() {
      return new Settings(0.9, 0.999, 1e-8);
    }
  }

  /**
   * What the optimiser has noted so far.
   *
   * @param moments {@code first.NAME} and {@code second.NAME} for each parameter
   * @param steps done for each parameter
   */
  record State(Map<String, Tensor> moments, Map<String, Integer> steps) {
    private static final String FIRST = "first.";
    private static final String SECOND = "second.";

    /** Tensors of the types and shapes that the moments of parameters have. */
    static Map<String, Tensor> shapes(Map<String, Tensor> parameters) {
      Map<String, Tensor> shapes = new LinkedHashMap<>();
      parameters.forEach((name, tensor) -> shapes.put(FIRST + name, tensor));
      parameters.forEach((name, tensor) -> shapes.put(SECOND + name, tensor));
      return shapes;
    }
  }

  private static final class Moments {
    private final NDArray first;
    private final NDArray second;
    private int steps;

    Moments(NDArray first, NDArray second, int steps) {
      this.first = first;
      this.second = second;
      this.steps = steps;
    }

    static Moments zero(NDArray like, NDManager manager) {
      return new Moments(
          manager.zeros(like.getShape(), like.getDataType()),
          manager.zeros(like.getShape(), like.getDataType()),
          0);
    }
  }

  private final TorchParameters parameters;
  private final List<Group> groups;
  private final Settings settings;
  private final NDManager manager;
  private final Map<String, Moments> moments = new HashMap<>();

  public AdamW(TorchParameters parameters, List<Group> groups, Settings settings) {
    this.parameters = parameters;
    this.groups = List.copyOf(groups);
    this.settings = settings;
    manager = NDManager.newBaseManager("PyTorch");
  }

  /**
   * The usual groups of what trains in a graph: no decay for biases and for the weights of
   * normalisations, known by their names (one that is or ends in {@code bias}, or holds {@code
   * norm}) or by their place in the graph.
   */
  public static List<Group> groups(Graph graph, double weightDecay) {
    return groups(graph, weightDecay, Map.of());
  }

  /**
   * As {@link #groups(Graph, double)}, with another learning rate for some parameters.
   *
   * @param rateFactors by parameter; 1 for those that are not named
   */
  public static List<Group> groups(
      Graph graph, double weightDecay, Map<String, Double> rateFactors) {
    Set<String> structural = biasesAndNorms(Sites.of(graph));
    Map<Double, Set<String>> plain = new TreeMap<>(Map.of(1.0, new LinkedHashSet<>()));
    Map<Double, Set<String>> decayed = new TreeMap<>(Map.of(1.0, new LinkedHashSet<>()));
    for (String name : graph.trainable()) {
      boolean named =
          name.endsWith("bias")
              || name.contains(".bias.")
              || name.toLowerCase(Locale.ROOT).contains("norm");
      (named || structural.contains(name) ? plain : decayed)
          .computeIfAbsent(rateFactors.getOrDefault(name, 1.0), key -> new LinkedHashSet<>())
          .add(name);
    }
    List<Group> groups = new ArrayList<>();
    decayed.forEach((factor, names) -> groups.add(new Group(names, factor, weightDecay)));
    plain.forEach((factor, names) -> groups.add(new Group(names, factor, 0)));
    return groups;
  }

  private static Set<String> biasesAndNorms(Sites sites) {
    Stream<@Nullable String> biases = sites.linears().stream().map(LinearSite::bias);
    Stream<@Nullable String> norms =
        sites.norms().stream().flatMap(norm -> Stream.of(norm.weight(), norm.bias()));
    return Stream.concat(biases, norms).filter(Objects::nonNull).collect(Collectors.toSet());
  }

  /**
   * Changes parameters of the groups by their gradients.
   *
   * @param active those that change; the others stay as they are, decay and counts included
   */
  public void step(double learningRate, Set<String> active) {
    for (Group group : groups) {
      for (String name : Sets.intersection(group.names(), active)) {
        try (NDManager scratch = manager.newSubManager()) {
          update(name, learningRate * group.rateFactor(), group.weightDecay(), scratch);
        }
      }
    }
  }

  private void update(String name, double rate, double decay, NDManager scratch) {
    NDArray parameter = parameters.array(name);
    NDArray gradient = parameter.getGradient();
    gradient.attach(scratch);
    Moments state = moments(name);
    state.steps++;
    if (decay != 0) {
      parameter.muli(1 - rate * decay);
    }
    state.first.muli(settings.beta1()).addi(gradient.mul(1 - settings.beta1()));
    state.second.muli(settings.beta2()).addi(gradient.square().muli(1 - settings.beta2()));
    NDArray denominator = state.second.sqrt();
    denominator.attach(scratch);
    denominator
        .divi(Math.sqrt(1 - Math.pow(settings.beta2(), state.steps)))
        .addi(settings.epsilon());
    NDArray change = state.first.mul(rate / (1 - Math.pow(settings.beta1(), state.steps)));
    change.attach(scratch);
    parameter.subi(change.divi(denominator));
  }

  private Moments moments(String name) {
    return moments.computeIfAbsent(name, key -> Moments.zero(parameters.array(name), manager));
  }

  /** A copy of what was noted, zeros for what has not changed so far. */
  State state() {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    Map<String, Integer> steps = new LinkedHashMap<>();
    for (String name : parameters.names()) {
      if (groups.stream().anyMatch(g -> g.names().contains(name))) {
        Moments state = moments(name);
        tensors.put(State.FIRST + name, TorchTensors.tensor(state.first));
        tensors.put(State.SECOND + name, TorchTensors.tensor(state.second));
        steps.put(name, state.steps);
      }
    }
    return new State(tensors, steps);
  }

  /** Goes on from what was noted before. */
  void restore(State state) {
    for (String name : groups.stream().flatMap(g -> g.names().stream()).toList()) {
      Tensor first = state.moments().get(State.FIRST + name);
      Tensor second = state.moments().get(State.SECOND + name);
      Integer steps = state.steps().get(name);
      if (first == null || second == null || steps == null) {
        throw new CheckpointFormatException(
            "the training state lacks the moments of '" + name + "'; start without resuming");
      }
      moments.put(
          name,
          new Moments(
              TorchTensors.copy(manager, first), TorchTensors.copy(manager, second), steps));
    }
  }

  @Override
  public void close() {
    manager.close();
  }
}

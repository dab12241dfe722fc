package io.peft4j.adapters.freeze;

import io.peft4j.adapter.AdapterTensor;
import io.peft4j.engine.torch.TorchParameters;
import io.peft4j.graph.GraphView;
import io.peft4j.graph.Node;
import io.peft4j.train.StepRule;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * Gradual unfreezing: groups of weights begin to train one after another.
 *
 * @param groups in their order
 * @param share of the training until all train
 */
record Thaw(List<Set<String>> groups, double share) implements StepRule {
  Thaw {
    groups = groups.stream().map(Set::copyOf).toList();
  }

  /**
   * The weights in the order in which they thaw: with the last layer of each stack what is behind
   * all layers, then layer by layer, at last what the layers are fed by. Groups of which nothing is
   * chosen are left out.
   *
   * @throws io.peft4j.PeftException if the layers are not numbered
   */
  static List<Set<String>> groups(ModelWeights weights, List<AdapterTensor> chosen) {
    Map<String, TreeSet<Integer>> stacks = weights.stacks("gradual_unfreezing");
    Map<String, Integer> depths = new LinkedHashMap<>();
    stacks.forEach(
        (prefix, numbers) ->
            numbers.forEach(
                number ->
                    weights
                        .within(prefix + number)
                        .forEach(
                            tensor ->
                                depths.put(tensor.initializer(), numbers.tailSet(number).size()))));
    int last = stacks.values().stream().mapToInt(Set::size).max().orElseThrow() + 1;
    Below below = new Below(weights, depths.keySet());
    Map<Integer, Set<String>> groups = new TreeMap<>();
    for (AdapterTensor tensor : chosen) {
      String name = tensor.initializer();
      Integer depth = depths.get(name);
      int group = depth != null ? depth : below.feeds(name) ? last : 1;
      groups.computeIfAbsent(group, key -> new LinkedHashSet<>()).add(name);
    }
    return new ArrayList<>(groups.values());
  }

  /** Tells what lies below the layers. */
  private static final class Below {
    private final GraphView view;
    private final Set<String> layers;

    Below(ModelWeights weights, Set<String> layers) {
      view = new GraphView(weights.graph());
      this.layers = layers;
    }

    /** Whether some layer computes with what is made of a weight. */
    boolean feeds(String weight) {
      Deque<String> open = new ArrayDeque<>(List.of(weight));
      Set<String> seen = new HashSet<>(open);
      while (!open.isEmpty()) {
        for (Node node : view.consumers(open.remove())) {
          if (node.uses().stream().anyMatch(layers::contains)) {
            return true;
          }
          node.outputs().stream().filter(seen::add).forEach(open::add);
        }
      }
      return false;
    }
  }

  @Override
  public String name() {
    return "gradual unfreezing of %d groups over %s".formatted(groups.size(), share);
  }

  @Override
  public Set<String> owned() {
    return Set.of();
  }

  @Override
  public Set<String> resting(TorchParameters parameters, int step, int totalSteps) {
    return resting(step, totalSteps);
  }

  /** What has not thawed by a step. */
  Set<String> resting(int step, int totalSteps) {
    Set<String> resting = new HashSet<>();
    for (int k = 0; k < groups.size(); k++) {
      if (step < Math.floor(k * share * totalSteps / groups.size())) {
        resting.addAll(groups.get(k));
      }
    }
    return resting;
  }
}

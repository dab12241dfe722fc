package io.peft4j.compress.prune;

import static java.util.Objects.requireNonNull;

import io.peft4j.UnsupportedModelException;
import io.peft4j.compress.prune.Tie.Ties;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphView;
import io.peft4j.graph.Node;
import io.peft4j.graph.Value;
import io.peft4j.task.PooledHead;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Follows what must go together through a graph: the row of one layer, the column of the next, the
 * entry of a norm between them, the same in every layer that shares a weight or adds to one
 * residual stream.
 */
final class Dependencies {
  /** The label of an entry that stays in any case. */
  static final int STAYS = -1;

  private final Graph graph;
  private final GraphView view;
  private final ValueShapes shapes;
  private final boolean renumbers;
  private final Map<Node, Ties> ties = new HashMap<>();

  Dependencies(Graph graph, ValueShapes shapes) {
    this(graph, shapes, false);
  }

  private Dependencies(Graph graph, ValueShapes shapes, boolean renumbers) {
    this.graph = graph;
    this.shapes = shapes;
    this.renumbers = renumbers;
    view = new GraphView(graph);
  }

  /**
   * Those of a graph whose ids get other numbers when rows of tables go, and whose scores of ids go
   * with them.
   */
  static Dependencies renumbering(Graph graph, ValueShapes shapes) {
    return new Dependencies(graph, shapes, true);
  }

  Graph graph() {
    return graph;
  }

  GraphView view() {
    return view;
  }

  ValueShapes shapes() {
    return shapes;
  }

  Ties ties(Node node) {
    return ties.computeIfAbsent(
        node,
        n -> {
          Ties found = NodeTies.of(view, shapes, n);
          return renumbers && n.is("Gather") && n.intAttribute("axis", 0) == 0
              ? found.absorbing(new Axis(n.requiredInput(0), 0))
              : found;
        });
  }

  /**
   * Where the units of an axis reach.
   *
   * @param labels for each entry of the axis the unit it belongs to, or {@link #STAYS}
   * @return the units of every axis that is cut with them
   * @throws UnsupportedModelException if the units cannot be taken apart somewhere
   */
  Map<Axis, int[]> follow(Axis start, int... labels) {
    Spread spread = new Spread(start);
    spread.put(start, labels);
    spread.run();
    spread.check();
    return spread.labels;
  }

  /** One walk through the graph. */
  private final class Spread {
    private final Axis start;
    private final Map<Axis, int[]> labels = new LinkedHashMap<>();
    private final Set<Node> open = new LinkedHashSet<>();
    private final Set<Node> met = new LinkedHashSet<>();

    Spread(Axis start) {
      this.start = start;
    }

    void put(Axis axis, int... found) {
      int[] known =
          labels.computeIfAbsent(
              axis,
              a -> {
                int[] none = new int[shapes.size(a)];
                Arrays.fill(none, STAYS);
                return none;
              });
      boolean changed = false;
      for (int i = 0; i < known.length; i++) {
        if (found[i] == STAYS || found[i] == known[i]) {
          continue;
        }
        if (known[i] != STAYS) {
          throw new UnsupportedModelException(
              "what %s leads to uses its entries %d and %d as one at %s; they cannot be told apart"
                  .formatted(start, known[i], found[i], axis));
        }
        known[i] = found[i];
        changed = true;
      }
      if (changed) {
        Node producer = view.producer(axis.value());
        if (producer != null && !producer.is("Constant")) {
          open.add(producer);
        }
        open.addAll(view.consumers(axis.value()));
      }
    }

    void run() {
      while (!open.isEmpty()) {
        Node node = open.iterator().next();
        open.remove(node);
        met.add(node);
        for (Tie tie : ties(node).ties()) {
          int[] from = labels.get(tie.from());
          if (from != null) {
            put(tie.to(), forward(tie, from));
          }
          int[] to = labels.get(tie.to());
          if (to != null) {
            put(tie.from(), backward(tie, to));
          }
        }
      }
    }

    /** An entry takes the label that all entries that belong to it have. */
    private int[] forward(Tie tie, int... from) {
      int[] to = new int[shapes.size(tie.to())];
      boolean[] seen = new boolean[to.length];
      Arrays.fill(to, STAYS);
      for (int i = 0; i < from.length; i++) {
        int target = tie.target(i);
        if (target >= 0) {
          to[target] = !seen[target] || to[target] == from[i] ? from[i] : STAYS;
          seen[target] = true;
        }
      }
      return to;
    }

    private int[] backward(Tie tie, int... to) {
      int[] from = new int[shapes.size(tie.from())];
      for (int i = 0; i < from.length; i++) {
        int target = tie.target(i);
        from[i] = target < 0 ? STAYS : to[target];
      }
      return from;
    }

    void check() {
      graph.inputs().forEach(input -> requireUntouched(input, "input"));
      boolean scores = graph.outputs().stream().anyMatch(v -> v.name().equals(PooledHead.LOGITS));
      for (Value output : graph.outputs()) {
        // Beside the scores of a model, what else it gives only looks on.
        if (!renumbers && (!scores || output.name().equals(PooledHead.LOGITS))) {
          requireUntouched(output, "output");
        }
      }
      for (Node node : met) {
        Set<String> values = new LinkedHashSet<>(node.inputs());
        values.addAll(node.outputs());
        for (Axis axis : List.copyOf(labels.keySet())) {
          if (values.contains(axis.value()) && !explained(node, axis)) {
            throw new UnsupportedModelException(
                "%s cannot do with fewer entries on %s, which would follow from cutting %s"
                    .formatted(node.describe(), axis, start));
          }
        }
      }
    }

    private void requireUntouched(Value value, String kind) {
      if (graph.initializers().containsKey(value.name())) {
        return;
      }
      for (Axis axis : labels.keySet()) {
        if (axis.value().equals(value.name())) {
          throw new UnsupportedModelException(
              "%s '%s' of the model would change its size with %s; only what lies inside can be cut"
                  .formatted(kind, value.name(), start));
        }
      }
    }

    /** Whether each entry that may go takes something with it at this node. */
    private boolean explained(Node node, Axis axis) {
      Ties known = ties(node);
      int[] own = requireNonNull(labels.get(axis));
      boolean[] explained =
          known.absorbed().contains(axis)
              ? known.untied(axis, own.length)
              : new boolean[own.length];
      for (Tie tie : known.ties()) {
        int[] from = labels.get(tie.from());
        int[] to = labels.get(tie.to());
        if (from == null || to == null) {
          continue;
        }
        if (tie.from().equals(axis)) {
          for (int i = 0; i < own.length; i++) {
            int target = tie.target(i);
            explained[i] |= target >= 0 && to[target] == own[i];
          }
        } else if (tie.to().equals(axis)) {
          explainTargets(tie, from, own, explained);
        }
      }
      for (int i = 0; i < own.length; i++) {
        if (own[i] != STAYS && !explained[i]) {
          return false;
        }
      }
      return true;
    }

    private void explainTargets(Tie tie, int[] from, int[] own, boolean[] explained) {
      boolean[] hit = new boolean[own.length];
      boolean[] broken = new boolean[own.length];
      for (int i = 0; i < from.length; i++) {
        int target = tie.target(i);
        if (target >= 0) {
          hit[target] = true;
          broken[target] |= from[i] != own[target];
        }
      }
      for (int i = 0; i < own.length; i++) {
        explained[i] |= hit[i] && !broken[i];
      }
    }
  }
}

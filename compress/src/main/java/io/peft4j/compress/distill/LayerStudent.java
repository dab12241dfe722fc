package io.peft4j.compress.distill;

import io.peft4j.PretrainedModel;
import io.peft4j.RecipeException;
import io.peft4j.compress.prune.LayerPruning;
import io.peft4j.data.BatchSource;
import io.peft4j.data.Dataset;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.Program;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Value;
import io.peft4j.task.PooledHead;
import io.peft4j.train.Evaluation;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * A student that is its teacher with fewer layers; embeddings and head are the teacher's. It scores
 * and gives nothing else.
 *
 * @param layers how many it keeps
 * @param choice which
 */
public record LayerStudent(int layers, LayerChoice choice) {
  private static final int JUDGED = 256;

  public LayerStudent {
    if (layers < 1) {
      throw new RecipeException("layers must be at least 1, was " + layers);
    }
  }

  /**
   * Makes the student, untrained.
   *
   * @param rows texts that {@link LayerChoice#IMPORTANCE} is measured on
   */
  public PretrainedModel build(Teacher teacher, Dataset rows) {
    Graph graph = scoring(teacher.model().graph());
    int count = LayerPruning.count(graph);
    Set<Integer> kept =
        switch (choice) {
          case SPREAD -> LayerPruning.spread(count, layers);
          case FIRST -> range(0, layers);
          case LAST -> range(count - layers, count);
          case IMPORTANCE -> important(teacher, graph, rows);
        };
    return of(teacher, LayerPruning.keep(graph, kept));
  }

  /**
   * A student of given layers.
   *
   * @param kept numbers of layers, from 0
   */
  public static PretrainedModel keeping(Teacher teacher, Set<Integer> kept) {
    return of(teacher, LayerPruning.keep(scoring(teacher.model().graph()), kept));
  }

  private static PretrainedModel of(Teacher teacher, Graph graph) {
    return new PretrainedModel(teacher.model().checkpoint().withGraph(graph));
  }

  private static Graph scoring(Graph graph) {
    GraphEditor editor = graph.edit().clearOutputs();
    Value logits =
        graph.outputs().stream()
            .filter(value -> value.name().equals(PooledHead.LOGITS))
            .findFirst()
            .orElseThrow();
    return editor.output(logits).prune().build();
  }

  private static Set<Integer> range(int from, int to) {
    return IntStream.range(from, to).boxed().collect(Collectors.toCollection(TreeSet::new));
  }

  private Set<Integer> important(Teacher teacher, Graph graph, Dataset rows) {
    Dataset judged =
        new Dataset(
            rows.name(), rows.examples().subList(0, Math.min(JUDGED, rows.examples().size())));
    BatchSource read = teacher.read(judged);
    float[][] wanted = teacher.scores(judged).get(SoftTargets.TEACHER).rows();
    Set<Integer> kept = range(0, LayerPruning.count(graph));
    while (kept.size() > layers) {
      int cheapest = -1;
      double least = Double.POSITIVE_INFINITY;
      for (int layer : kept) {
        Set<Integer> without = new TreeSet<>(kept);
        without.remove(layer);
        double distance = distance(LayerPruning.keep(graph, without), read, wanted);
        if (distance < least) {
          least = distance;
          cheapest = layer;
        }
      }
      kept.remove(cheapest);
    }
    return kept;
  }

  /** The mean of KL(softmax(wanted) ‖ softmax(found)) over the rows. */
  private static double distance(Graph graph, BatchSource rows, float[][] wanted) {
    float[][] found;
    try (Program program = TorchEngine.compile(graph, CompileOptions.evaluation())) {
      found = Evaluation.scores(program, rows, PooledHead.LOGITS);
    }
    double sum = 0;
    for (int i = 0; i < found.length; i++) {
      double wantedTotal = logSum(wanted[i]);
      double foundTotal = logSum(found[i]);
      for (int c = 0; c < wanted[i].length; c++) {
        double p = wanted[i][c] - wantedTotal;
        sum += Math.exp(p) * (p - (found[i][c] - foundTotal)) / found.length;
      }
    }
    return sum;
  }

  private static double logSum(float[] scores) {
    double largest = Double.NEGATIVE_INFINITY;
    for (float score : scores) {
      largest = Math.max(largest, score);
    }
    double sum = 0;
    for (float score : scores) {
      sum += Math.exp(score - largest);
    }
    return largest + Math.log(sum);
  }
}

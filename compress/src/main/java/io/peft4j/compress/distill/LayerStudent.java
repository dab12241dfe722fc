package io.peft4j.compress.distill;

import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.RecipeException;
import io.peft4j.compress.prune.LayerPruning;
import io.peft4j.compress.prune.Pruning;
import io.peft4j.compress.prune.Structure;
import io.peft4j.compress.prune.Target;
import io.peft4j.data.BatchSource;
import io.peft4j.data.Dataset;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.Program;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.graph.Graph;
import io.peft4j.task.PooledHead;
import io.peft4j.train.Evaluation;
import io.peft4j.train.Recipe;
import io.peft4j.train.TrainingListener;
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
 * @param pruned the share of the neurons of its feed-forward blocks that are left out, those with
 *     the least Fisher information on the teacher's answers; from 0 to below 1
 */
public record LayerStudent(int layers, LayerChoice choice, double pruned) implements Student {
  private static final int JUDGED = 256;

  private static final Recipe RECIPE =
      Recipe.builder().optEpochs(6).optBatchSize(16).optLearningRate(2e-4).build();

  /** Further texts where there are few rows: so many in all, and for each row. */
  private static final int TEXTS = 2500;

  private static final int MOST_COPIES = 4;

  public LayerStudent {
    if (layers < 1) {
      throw new RecipeException("layers must be at least 1, was " + layers);
    }
    if (!(pruned >= 0 && pruned < 1)) {
      throw new RecipeException("pruned must be from 0 to below 1, was " + pruned);
    }
  }

  /** Layers spread evenly, at their full width. */
  public LayerStudent(int layers) {
    this(layers, LayerChoice.SPREAD, 0);
  }

  @Override
  public PretrainedModel build(Teacher teacher, Dataset rows, long seed) {
    Graph graph = Scoring.only(teacher.model().graph());
    int count = LayerPruning.count(graph);
    if (layers > count) {
      throw new PeftException(
          "the teacher has %d layers; a student cannot keep %d".formatted(count, layers));
    }
    Set<Integer> kept =
        switch (choice) {
          case SPREAD -> LayerPruning.spread(count, layers);
          case FIRST -> range(0, layers);
          case LAST -> range(count - layers, count);
          case IMPORTANCE -> important(teacher, graph, rows);
        };
    return narrowed(teacher, keeping(teacher, kept), rows);
  }

  /**
   * A student of given layers, at their full width.
   *
   * @param kept numbers of layers, from 0
   */
  public static PretrainedModel keeping(Teacher teacher, Set<Integer> kept) {
    Graph graph = LayerPruning.keep(Scoring.only(teacher.model().graph()), kept);
    return new PretrainedModel(teacher.model().checkpoint().withGraph(graph));
  }

  private PretrainedModel narrowed(Teacher teacher, PretrainedModel student, Dataset rows) {
    if (pruned == 0) {
      return student;
    }
    return Pruning.of(Target.share(pruned), Structure.NEURONS)
        .prune(student, teacher.tokenizer(), teacher.labelled(rows), null, TrainingListener.NONE)
        .model();
  }

  @Override
  public Recipe recipe() {
    return RECIPE;
  }

  @Override
  public int copies(int rows) {
    return Math.min(MOST_COPIES, TEXTS / rows);
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

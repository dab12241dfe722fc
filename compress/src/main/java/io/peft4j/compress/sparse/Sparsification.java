package io.peft4j.compress.sparse;

import io.peft4j.PretrainedModel;
import io.peft4j.RecipeException;
import io.peft4j.adapter.Targets;
import io.peft4j.compress.calibrate.Calibration;
import io.peft4j.compress.calibrate.InputMoments;
import io.peft4j.format.Checkpoint;
import io.peft4j.graph.Graph;
import io.peft4j.math.Matrix;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Sets weights of linear layers of a trained model to zero, without training. Layers are gone
 * through in the graph's order, and each sees the data as the sparse layers before it pass them on;
 * only where weights of all layers are compared do all see the data as the dense model has them.
 *
 * @param importance which weights go
 * @param pattern how many
 * @param targets of which layers
 */
public record Sparsification(Importance importance, Pattern pattern, Targets targets) {
  public Sparsification {
    boolean wholeLayers =
        pattern instanceof Pattern.Share share && share.scope() == Pattern.Scope.MODEL;
    if (importance == Importance.SPARSEGPT && wholeLayers) {
      throw new RecipeException(
          "sparsegpt goes through one layer after the other; its scope is layer or row");
    }
  }

  /** All linear layers but the head. */
  public static Sparsification of(Importance importance, Pattern pattern) {
    return new Sparsification(importance, pattern, Targets.allLinear());
  }

  public Sparsification on(Targets newTargets) {
    return new Sparsification(importance, pattern, newTargets);
  }

  /**
   * Makes a model sparse.
   *
   * @param calibration examples; with magnitude it may be null and else serves to tell the error
   * @param progress told of each layer when it is done
   * @throws io.peft4j.PeftException if the targets match nothing, or a layer does not fit the
   *     pattern
   */
  public SparseModel apply(
      PretrainedModel model, @Nullable Calibration calibration, Consumer<LayerSparsity> progress) {
    if (calibration == null && importance.needsCalibration()) {
      throw new RecipeException(importance + " needs calibration data; give a data file");
    }
    List<SparseLayer> layers = SparseLayer.of(model.graph(), targets);
    Run run = new Run(model.graph(), calibration, progress);
    if (pattern instanceof Pattern.Share share && share.scope() == Pattern.Scope.MODEL) {
      run.together(layers);
    } else {
      layers.forEach(run::alone);
    }
    Graph graph = run.graph.edit().metadata(SparseModel.METADATA_KEY, note(run.done)).build();
    return new SparseModel(
        new PretrainedModel(model.checkpoint().withGraph(graph)), List.copyOf(run.done));
  }

  private String note(List<LayerSparsity> layers) {
    Map<String, Object> note = new LinkedHashMap<>();
    note.put("importance", importance.toString());
    note.put("pattern", pattern.toString());
    Map<String, Double> shares = new LinkedHashMap<>();
    layers.forEach(layer -> shares.put(layer.path(), layer.sparsity()));
    note.put("layers", shares);
    return Checkpoint.text(note);
  }

  /** One model on its way. */
  private final class Run {
    private Graph graph;
    private final @Nullable Calibration calibration;
    private final Consumer<LayerSparsity> progress;
    private final List<LayerSparsity> done = new ArrayList<>();
    private List<String> seenInputs = List.of();
    private @Nullable InputMoments seen;

    Run(Graph graph, @Nullable Calibration calibration, Consumer<LayerSparsity> progress) {
      this.graph = graph;
      this.calibration = calibration;
      this.progress = progress;
    }

    /** Layers with the same input, as queries, keys and values have it, share its moments. */
    private @Nullable InputMoments moments(SparseLayer layer) {
      if (calibration != null && !layer.inputs().equals(seenInputs)) {
        seen = calibration.moments(graph, layer.inputs());
        seenInputs = layer.inputs();
      }
      return seen;
    }

    void alone(SparseLayer layer) {
      Matrix before = layer.values(graph);
      InputMoments moments = moments(layer);
      if (importance == Importance.SPARSEGPT && moments != null) {
        put(layer, SparseGpt.solve(layer, before, moments.products(), pattern), moments);
      } else {
        boolean[] keep = Masks.of(scores(layer, before, moments), layer, pattern);
        put(layer, masked(before, keep), moments);
      }
    }

    void together(List<SparseLayer> layers) {
      List<float[]> scores = new ArrayList<>();
      for (SparseLayer layer : layers) {
        InputMoments moments = importance.needsCalibration() ? moments(layer) : null;
        scores.add(scores(layer, layer.values(graph), moments));
      }
      List<boolean[]> masks = Masks.of(scores, layers, pattern);
      for (int i = 0; i < layers.size(); i++) {
        SparseLayer layer = layers.get(i);
        put(layer, masked(layer.values(graph), masks.get(i)), moments(layer));
      }
    }

    private float[] scores(SparseLayer layer, Matrix weight, @Nullable InputMoments moments) {
      double[] lengths = new double[layer.in()];
      Arrays.fill(lengths, 1);
      if (importance == Importance.WANDA && moments != null) {
        lengths = moments.lengths();
      }
      double[] values = weight.values();
      float[] scores = new float[values.length];
      for (int i = 0; i < scores.length; i++) {
        scores[i] = (float) (Math.abs(values[i]) * lengths[i % layer.in()]);
      }
      return scores;
    }

    private void put(SparseLayer layer, Matrix values, @Nullable InputMoments moments) {
      Matrix before = layer.values(graph);
      graph = graph.edit().initializer(layer.weight(), layer.stored(graph, values)).build();
      Matrix after = layer.values(graph);
      long zeros = SparseLayer.zeros(graph.initializer(layer.weight()));
      LayerSparsity result =
          new LayerSparsity(
              layer.path(),
              (long) layer.out() * layer.in(),
              zeros,
              moments == null
                  ? OptionalDouble.empty()
                  : OptionalDouble.of(moments.outputError(before, after)));
      done.add(result);
      progress.accept(result);
    }
  }

  private static Matrix masked(Matrix weight, boolean[] keep) {
    double[] values = weight.values();
    for (int i = 0; i < values.length; i++) {
      values[i] = keep[i] ? values[i] : 0;
    }
    return Matrix.of(weight.rows(), weight.columns(), values);
  }
}

package io.peft4j.compress.sparse;

import io.peft4j.RecipeException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.freeze.FreezeMask;
import io.peft4j.format.Checkpoint;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.train.StepRule;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Weights go to zero while the model trains, more and more of them as a schedule says, and what is
 * left makes up for them. From the end of the schedule on the zeros stay where they are.
 *
 * @param score what says which weights go
 * @param pattern how many in the end
 * @param schedule how many on the way
 * @param updates how often the masks are chosen anew between start and end of the schedule, at most
 *     once a step
 * @param targets of which layers
 * @param trains what trains beside the weights of the targets
 */
public record GradualSparsity(
    Score score,
    Pattern pattern,
    CubicSchedule schedule,
    int updates,
    Targets targets,
    FreezeMask trains)
    implements AdapterMethod, StepRule.Source {
  public static final String NAME = "gradual-sparsity";

  private static final int UPDATES = 30;

  /** What says which weights go. */
  public enum Score {
    /** |w| at the time. */
    MAGNITUDE,
    /**
     * −Σ w ∂L/∂w over the steps so far, masked weights included, so that they can come back:
     * weights go that training moves towards zero (Sanh et al. 2020, arXiv 2005.07683). A model
     * that has learned its data already hardly moves, and what goes is then left to chance.
     */
    MOVEMENT;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  public GradualSparsity {
    if (updates < 1) {
      throw new RecipeException("updates must be at least 1, was " + updates);
    }
  }

  /** On all linear layers but the head, while all weights train. */
  public static GradualSparsity of(Score score, Pattern pattern) {
    return new GradualSparsity(
        score, pattern, CubicSchedule.standard(), UPDATES, Targets.allLinear(), FreezeMask.all());
  }

  public GradualSparsity on(Targets newTargets) {
    return new GradualSparsity(score, pattern, schedule, updates, newTargets, trains);
  }

  public GradualSparsity scheduled(CubicSchedule newSchedule) {
    return new GradualSparsity(score, pattern, newSchedule, updates, targets, trains);
  }

  /** What trains beside the weights of the targets. */
  public GradualSparsity training(FreezeMask newTrains) {
    return new GradualSparsity(score, pattern, schedule, updates, targets, newTrains);
  }

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public AttachedAdapter attach(Graph base, String adapter, long seed) {
    List<SparseLayer> layers = SparseLayer.of(base, targets);
    if (pattern instanceof Pattern.NofM groups) {
      layers.forEach(layer -> layer.requireGroupsOf(groups.group()));
    }
    AttachedAdapter dense = MaskedWeights.train(base, adapter, seed, layers, trains);
    GraphEditor editor = dense.graph().edit().tagging(adapter);
    for (SparseLayer layer : layers) {
      long[] shape = base.initializer(layer.weight()).shape();
      float[] ones = new float[Math.toIntExact(Tensor.elements(shape))];
      Arrays.fill(ones, 1);
      MaskedWeights.add(editor, layer, Tensor.ofFloats(shape, ones));
      editor.train(MaskedWeights.mask(layer)); // its gradient is w ∂L/∂w
      if (score == Score.MOVEMENT) {
        String scores = MaskedWeights.scores(layer);
        editor.initializer(scores, Tensor.zeros(DType.FLOAT32, shape)).train(scores);
      }
    }
    return new AttachedAdapter(
        adapter, this, base, editor.build(), dense.tensors(), dense.targets());
  }

  @Override
  public StepRule rule(AttachedAdapter adapter) {
    return new SparsityRule(this, SparseLayer.of(adapter.base(), targets));
  }

  @Override
  public Graph merge(AttachedAdapter adapter) {
    List<SparseLayer> layers = SparseLayer.of(adapter.base(), targets);
    Graph merged = MaskedWeights.merged(adapter, layers).build();
    Map<String, Object> note = new LinkedHashMap<>();
    note.put("importance", score.toString());
    note.put("pattern", pattern.toString());
    note.put("layers", MaskedWeights.sparsity(merged, layers));
    return merged.edit().metadata(SparseModel.METADATA_KEY, Checkpoint.text(note)).build();
  }
}

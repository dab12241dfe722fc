package io.peft4j.compress.sparse;

import ai.djl.ndarray.NDArray;
import io.peft4j.compress.sparse.GradualSparsity.Score;
import io.peft4j.engine.torch.TorchParameters;
import io.peft4j.train.StepRule;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** Chooses the masks of {@link GradualSparsity} as the training goes on. */
final class SparsityRule implements StepRule {
  private final GradualSparsity plan;
  private final List<SparseLayer> layers;

  SparsityRule(GradualSparsity plan, List<SparseLayer> layers) {
    this.plan = plan;
    this.layers = layers;
  }

  @Override
  public String name() {
    return "%s %s %s %s %d"
        .formatted(plan.name(), plan.score(), plan.pattern(), plan.schedule(), plan.updates());
  }

  @Override
  public Set<String> owned() {
    Set<String> owned = new HashSet<>();
    for (SparseLayer layer : layers) {
      owned.add(MaskedWeights.mask(layer));
      if (plan.score() == Score.MOVEMENT) {
        owned.add(MaskedWeights.scores(layer));
      }
    }
    return owned;
  }

  @Override
  public void beforeUpdate(TorchParameters parameters, int step, int totalSteps) {
    if (plan.score() == Score.MOVEMENT && step < end(totalSteps)) {
      for (SparseLayer layer : layers) {
        try (NDArray moved = parameters.array(MaskedWeights.mask(layer)).getGradient()) {
          parameters.array(MaskedWeights.scores(layer)).subi(moved);
        }
      }
    }
  }

  @Override
  public void afterUpdate(TorchParameters parameters, int step, int totalSteps) {
    int done = step + 1;
    int start = start(totalSteps);
    int end = end(totalSteps);
    int interval = Math.max(1, (end - start) / plan.updates());
    if (done == end) {
      choose(parameters, plan.pattern().target());
    } else if (done > start && done < end && (done - start) % interval == 0) {
      choose(parameters, plan.schedule().at((double) done / totalSteps, plan.pattern().target()));
    }
  }

  private int start(int totalSteps) {
    return (int) Math.round(plan.schedule().start() * totalSteps);
  }

  private int end(int totalSteps) {
    return Math.max(start(totalSteps) + 1, (int) Math.round(plan.schedule().end() * totalSteps));
  }

  @Override
  public boolean settled(int steps, int totalSteps) {
    return steps >= end(totalSteps);
  }

  private void choose(TorchParameters parameters, double sparsity) {
    List<float[]> scores = new ArrayList<>();
    layers.forEach(layer -> scores.add(scores(parameters, layer)));
    List<boolean[]> masks;
    if (plan.pattern() instanceof Pattern.Share share) {
      masks = Masks.of(scores, layers, new Pattern.Share(sparsity, share.scope()));
    } else {
      masks = new ArrayList<>();
      for (int i = 0; i < layers.size(); i++) {
        masks.add(partly(scores.get(i), layers.get(i), sparsity));
      }
    }
    for (int i = 0; i < layers.size(); i++) {
      SparseLayer layer = layers.get(i);
      parameters.set(MaskedWeights.mask(layer), layer.stored(masks.get(i)));
    }
  }

  private float[] scores(TorchParameters parameters, SparseLayer layer) {
    if (plan.score() == Score.MOVEMENT) {
      return layer.rows(parameters.value(MaskedWeights.scores(layer)));
    }
    float[] weights = layer.rows(parameters.value(layer.weight()));
    for (int i = 0; i < weights.length; i++) {
      weights[i] = Math.abs(weights[i]);
    }
    return weights;
  }

  /** Of what the pattern N:M lets go, only the least important, as many as there are to go. */
  private boolean[] partly(float[] scores, SparseLayer layer, double sparsity) {
    boolean[] kept = Masks.of(scores, layer, plan.pattern());
    float[] candidates = scores.clone();
    for (int i = 0; i < candidates.length; i++) {
      candidates[i] = kept[i] ? Float.POSITIVE_INFINITY : candidates[i];
    }
    boolean[] keep = new boolean[scores.length];
    Arrays.fill(keep, true);
    Masks.dropLeast(candidates, keep, 0, scores.length, (int) Math.round(sparsity * scores.length));
    return keep;
  }
}

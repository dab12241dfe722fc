package io.peft4j.train;

import io.peft4j.AdaptedModel;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.engine.torch.TorchParameters;
import io.peft4j.graph.Graph;
import io.peft4j.task.Objective;
import java.util.Set;

/**
 * What a method does to parameters of its own in each step, where the optimiser is not the way:
 * masks of weights, budgets of ranks. What a rule notes from step to step stands in its parameters
 * alone, so that a training can be resumed.
 */
public interface StepRule {
  /** Does nothing. */
  StepRule NONE =
      new StepRule() {
        @Override
        public String name() {
          return "none";
        }

        @Override
        public Set<String> owned() {
          return Set.of();
        }
      };

  /** A method that has a rule. */
  interface Source {
    /** The rule for an adapter that this method has attached. */
    StepRule rule(AttachedAdapter adapter);
  }

  /** The rule of a model's adapter. */
  static StepRule of(AdaptedModel model) {
    return model.adapter().method() instanceof Source source ? source.rule(model.adapter()) : NONE;
  }

  /**
   * The graph that is trained: the adapted one, with the parameters that the rule notes things in.
   */
  default Graph prepared(Graph adapted) {
    return adapted;
  }

  /** The objective, with what the method adds to the loss. */
  default Objective judging(Objective objective) {
    return objective;
  }

  /**
   * What the adapter has become.
   *
   * @param trained its graph with the values of the training, what the rule noted included
   */
  default AttachedAdapter finished(AttachedAdapter trained) {
    return trained;
  }

  /** What tells this rule from others, its settings included. */
  String name();

  /** Trainable initializers that the rule changes; optimiser and clipping leave them alone. */
  Set<String> owned();

  /**
   * Trainable initializers that do not train in a step: no gradient is computed for them, and
   * optimiser and clipping leave them alone.
   *
   * @param parameters as they are before the step
   * @param step from 0
   */
  default Set<String> resting(TorchParameters parameters, int step, int totalSteps) {
    return Set.of();
  }

  /**
   * Called with the gradients of a step, before they are clipped.
   *
   * @param step from 0
   */
  default void beforeUpdate(TorchParameters parameters, int step, int totalSteps) {}

  /**
   * Called when the optimiser has changed the values.
   *
   * @param step from 0
   */
  default void afterUpdate(TorchParameters parameters, int step, int totalSteps) {}

  /**
   * Whether the model is what it is meant to become, so that its accuracy may be compared with that
   * of later epochs. Until then the latest epoch is the one that counts.
   *
   * @param steps that are done
   */
  default boolean settled(int steps, int totalSteps) {
    return true;
  }
}

package io.peft4j.adapters.adalora;

import io.peft4j.PeftException;
import io.peft4j.RecipeException;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.LinearMethod;
import io.peft4j.adapters.linear.Patterns;
import io.peft4j.graph.Graph;
import io.peft4j.train.StepRule;
import java.util.List;
import java.util.Map;

/**
 * AdaLoRA (Zhang et al., ICLR 2023, arXiv 2303.10512): y = x (W + s B diag(E) A)ᵀ + b with s =
 * alpha / initial rank. Each layer starts with the same rank; training takes away the triplets (a
 * column of B, an element of E, a row of A) that matter least, until the layers have the target
 * rank on average. E starts at zero, so that the model starts unchanged.
 *
 * @param initR rank of each layer at the start
 * @param targetR mean rank at the end
 * @param dropout share of the input that is dropped before the update
 * @param tinit steps before the first cut; {@link #AUTOMATIC} for a tenth of the training
 * @param tfinal steps after the last cut; {@link #AUTOMATIC} for three tenths
 * @param deltaT steps from cut to cut
 * @param beta1 what a step keeps of the mean importance before it
 * @param beta2 likewise of the mean distance from that mean
 * @param orthRegWeight weight of the mean of ‖A Aᵀ − I‖ and ‖Bᵀ B − I‖ in the loss
 * @param rankPattern ranks of layers that have been cut, by expressions that match the end of a
 *     module's path; 0 for none left
 */
public record AdaLora(
    int initR,
    int targetR,
    double alpha,
    double dropout,
    int tinit,
    int tfinal,
    int deltaT,
    double beta1,
    double beta2,
    double orthRegWeight,
    Targets targets,
    Map<String, Integer> rankPattern,
    List<String> modulesToSave)
    implements LinearMethod, StepRule.Source {
  /** A number of steps that follows from the length of the training. */
  public static final int AUTOMATIC = -1;

  /** What PEFT adds to the initial rank where it divides by it. */
  private static final double DIVISOR_OFFSET = 1e-5;

  private static final double START_DEVIATION = 0.02;

  public AdaLora {
    Checks.atLeast("initR", initR, 1);
    Checks.atLeast("targetR", targetR, 1);
    if (targetR > initR) {
      throw new RecipeException(
          "targetR must be at most initR (%d), was %d".formatted(initR, targetR));
    }
    Checks.positive("alpha", alpha);
    Checks.fraction("dropout", dropout);
    Checks.atLeast("tinit", tinit, AUTOMATIC);
    Checks.atLeast("tfinal", tfinal, AUTOMATIC);
    Checks.atLeast("deltaT", deltaT, 1);
    Checks.positive("beta1", beta1);
    Checks.fraction("beta1", beta1);
    Checks.positive("beta2", beta2);
    Checks.fraction("beta2", beta2);
    if (!(orthRegWeight >= 0) || Double.isInfinite(orthRegWeight)) {
      throw new RecipeException("orthRegWeight must be at least 0, was " + orthRegWeight);
    }
    rankPattern.forEach(
        (module, r) -> {
          if (r < 0) {
            throw new RecipeException("rank of '" + module + "' must be at least 0, was " + r);
          }
        });
    rankPattern = Patterns.copy(rankPattern);
    modulesToSave = List.copyOf(modulesToSave);
  }

  /**
   * AdaLoRA on the attention blocks that ends with a mean rank and starts with half as much more.
   */
  public static AdaLora rank(int targetR) {
    int initR = targetR + (targetR + 1) / 2;
    return new AdaLora(
        initR,
        targetR,
        2.0 * targetR,
        0,
        AUTOMATIC,
        AUTOMATIC,
        1,
        0.85,
        0.85,
        0.5,
        Targets.attention(),
        Map.of(),
        List.of());
  }

  /** What PEFT takes where a configuration says nothing. */
  static AdaLora ofPeft() {
    return new AdaLora(
        12, 8, 8, 0, 0, 0, 1, 0.85, 0.85, 0.5, Targets.attention(), Map.of(), List.of());
  }

  public AdaLora on(Targets newTargets) {
    return new AdaLora(
        initR,
        targetR,
        alpha,
        dropout,
        tinit,
        tfinal,
        deltaT,
        beta1,
        beta2,
        orthRegWeight,
        newTargets,
        rankPattern,
        modulesToSave);
  }

  /** With other lengths of the phases, in steps. */
  public AdaLora scheduled(int newTinit, int newTfinal, int newDeltaT) {
    return new AdaLora(
        initR,
        targetR,
        alpha,
        dropout,
        newTinit,
        newTfinal,
        newDeltaT,
        beta1,
        beta2,
        orthRegWeight,
        targets,
        rankPattern,
        modulesToSave);
  }

  AdaLora ranks(Map<String, Integer> ranks) {
    return new AdaLora(
        initR,
        targetR,
        alpha,
        dropout,
        tinit,
        tfinal,
        deltaT,
        beta1,
        beta2,
        orthRegWeight,
        targets,
        ranks,
        modulesToSave);
  }

  @Override
  public String name() {
    return "adalora";
  }

  int rank(String path) {
    return Patterns.pick(rankPattern, path, initR);
  }

  @Override
  public AttachedAdapter attach(Graph base, String adapter, long seed) {
    AttachedAdapter attached = LinearMethod.super.attach(base, adapter, seed);
    for (String module : rankPattern.keySet()) {
      Map<String, Integer> one = Map.of(module, 1);
      if (attached.targets().stream().allMatch(path -> Patterns.pick(one, path, 0) == 0)) {
        throw new PeftException(
            "rank_pattern names '%s', which is none of the adapted layers; these are %s"
                .formatted(
                    module.replace("\\Q", "").replace("\\E", ""),
                    String.join(", ", attached.targets())));
      }
    }
    return attached;
  }

  @Override
  public Expression adapt(AdaptedLinear layer) {
    int r = rank(layer.path());
    Expression a = layer.parameter("lora_A", layer.normal(START_DEVIATION, r, layer.in()));
    Expression b = layer.parameter("lora_B", layer.normal(START_DEVIATION, layer.out(), r));
    Expression e = layer.parameter("lora_E", AdaptedLinear.filled(0, r, 1));
    Expression low = layer.x().dropout(dropout).matmul(a.times(e).transposed());
    return layer.y().plus(low.matmul(b.transposed()).times(alpha / (initR + DIVISOR_OFFSET)));
  }

  @Override
  public StepRule rule(AttachedAdapter adapter) {
    return new BudgetRule(this, Triplets.of(adapter));
  }
}

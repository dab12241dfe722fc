package io.peft4j.adapters.adamss;

import io.peft4j.RecipeException;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.LinearMethod;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import io.peft4j.train.StepRule;
import java.util.ArrayList;
import java.util.List;

/**
 * AdaMSS: [W b] ≈ U diag(s) V with V [rank, in + 1] fixed; the rows of U are grouped by k-means,
 * and the rows of group i get the update B_i A_i V with trained A_i [subspaceRank, rank] and B_i
 * [size of the group, subspaceRank]. A_i starts with the leading directions of its rows of U, B_i
 * at zero, so that the model starts unchanged.
 *
 * @param rank directions of the weight; a smaller layer has as many as it can
 * @param numSubspaces groups of rows
 * @param subspaceRank rank of a group's update; a smaller group has as many as rows
 * @param useDynamicRank whether a group's rank is only as large as its rows' spread asks
 * @param svdThreshold share of the largest squared singular value of a group's rows that one must
 *     exceed to count, where ranks are dynamic
 * @param randomSeed from which the directions are found
 * @param useAsa whether training freezes the groups that matter least
 * @param asaTargetSubspaces groups of the whole model that train to the end
 * @param initWarmup first step of which the importance counts
 * @param finalWarmup last step that groups may be frozen at; a multiple of maskInterval reaches the
 *     target
 * @param maskInterval steps from one freezing to the next
 * @param asaImportanceBeta what a step keeps of the mean importance before it
 * @param asaUncertaintyBeta likewise of the mean distance from that mean
 * @param asaScheduleExponent how fast groups are frozen; 1 for evenly, more for early
 */
public record Adamss(
    int rank,
    int numSubspaces,
    int subspaceRank,
    boolean useDynamicRank,
    double svdThreshold,
    int randomSeed,
    boolean useAsa,
    int asaTargetSubspaces,
    int initWarmup,
    int finalWarmup,
    int maskInterval,
    double asaImportanceBeta,
    double asaUncertaintyBeta,
    double asaScheduleExponent,
    Targets targets,
    List<String> modulesToSave)
    implements LinearMethod, StepRule.Source {
  /** The fixed directions of a layer. */
  static final String DIRECTIONS = "adamss_newB";

  /** Before the number of a group: what its trained matrices are called. */
  static final String A = "adamss_A.";

  static final String B = "adamss_B.";

  public Adamss {
    Checks.atLeast("rank", rank, 1);
    Checks.atLeast("numSubspaces", numSubspaces, 1);
    Checks.atLeast("subspaceRank", subspaceRank, 1);
    Checks.fraction("svdThreshold", svdThreshold);
    Checks.atLeast("asaTargetSubspaces", asaTargetSubspaces, 1);
    Checks.atLeast("initWarmup", initWarmup, 0);
    Checks.atLeast("finalWarmup", finalWarmup, 0);
    Checks.atLeast("maskInterval", maskInterval, 1);
    Checks.fraction("asaImportanceBeta", asaImportanceBeta);
    Checks.fraction("asaUncertaintyBeta", asaUncertaintyBeta);
    Checks.positive("asaScheduleExponent", asaScheduleExponent);
    if (useAsa && finalWarmup <= initWarmup) {
      throw new RecipeException(
          "finalWarmup must be more than %d, where the first phase ends, was %d"
              .formatted(initWarmup, finalWarmup));
    }
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** AdaMSS on the attention blocks with PEFT's settings. */
  public static Adamss standard() {
    return new Adamss(
        100,
        5,
        1,
        false,
        0.1,
        0,
        false,
        50,
        50,
        1000,
        100,
        0.85,
        0.85,
        3,
        Targets.attention(),
        List.of());
  }

  public Adamss on(Targets newTargets) {
    return new Adamss(
        rank,
        numSubspaces,
        subspaceRank,
        useDynamicRank,
        svdThreshold,
        randomSeed,
        useAsa,
        asaTargetSubspaces,
        initWarmup,
        finalWarmup,
        maskInterval,
        asaImportanceBeta,
        asaUncertaintyBeta,
        asaScheduleExponent,
        newTargets,
        modulesToSave);
  }

  @Override
  public String name() {
    return "adamss";
  }

  @Override
  public Expression adapt(AdaptedLinear layer) {
    RowGroups groups = RowGroups.of(layer, this);
    Expression v = layer.stored(DIRECTIONS, groups.directions());
    List<Expression> a = new ArrayList<>();
    List<Expression> b = new ArrayList<>();
    for (int i = 0; i < groups.size(); i++) {
      a.add(layer.parameter(A + i, groups.leading(i).toTensor(DType.FLOAT32)));
      Tensor start = Tensor.zeros(DType.FLOAT32, groups.rows(i).length, groups.leading(i).rows());
      b.add(layer.parameter(B + i, start).reshaped(-1));
    }
    b.add(layer.constant("adamss_zero", Tensor.zeros(DType.FLOAT32, 1)));
    Expression down = stacked(a);
    Expression up = stacked(b).gathered(0, layer.constant("adamss_places", groups.places()));
    Expression low = layer.x().matmul(v.sliced(1, 0, layer.in()).transposed());
    if (layer.bias() != null) {
      low = low.plus(v.sliced(1, layer.in(), layer.in() + 1).reshaped(-1));
    }
    return layer.y().plus(low.matmul(down.transposed()).matmul(up.transposed()));
  }

  private static Expression stacked(List<Expression> parts) {
    Expression[] others = parts.subList(1, parts.size()).toArray(Expression[]::new);
    return parts.get(0).concat(0, others);
  }

  @Override
  public StepRule rule(AttachedAdapter adapter) {
    return useAsa ? new SubspaceRule(this, adapter) : StepRule.NONE;
  }
}

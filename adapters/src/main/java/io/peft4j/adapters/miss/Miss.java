package io.peft4j.adapters.miss;

import io.peft4j.PeftException;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.LinearMethod;
import io.peft4j.graph.Tensor;
import java.util.List;

/**
 * MiSS (Kang et al., arXiv 2409.15371): one block D of r numbers for each output is added to each
 * run of r inputs of W: W'[o, i] = W[o, i] + D[i mod r, o]. Two variants: {@code bat} multiplies
 * too, W' = W + W D + D with square blocks of each r outputs; {@code mini} repeats D over the
 * outputs. D starts at zero, so that the model starts unchanged.
 *
 * @param rank r
 * @param miniRank outputs of D before it is repeated, for {@code mini}
 * @param variant the form
 * @param dropout share of the input that is dropped before the update
 */
public record Miss(
    int rank,
    int miniRank,
    Variant variant,
    double dropout,
    Targets targets,
    List<String> modulesToSave)
    implements LinearMethod {

  /** The forms of MiSS. */
  public enum Variant {
    PLAIN,
    BAT,
    MINI
  }

  public Miss {
    Checks.atLeast("rank", rank, 1);
    Checks.atLeast("miniRank", miniRank, 1);
    Checks.fraction("dropout", dropout);
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** MiSS of a rank on the feed-forward blocks. */
  public static Miss rank(int rank) {
    return new Miss(rank, 1, Variant.PLAIN, 0, Targets.feedForward(), List.of());
  }

  public Miss on(Targets newTargets) {
    return new Miss(rank, miniRank, variant, dropout, newTargets, modulesToSave);
  }

  public Miss variant(Variant newVariant) {
    return new Miss(rank, miniRank, newVariant, dropout, targets, modulesToSave);
  }

  @Override
  public String name() {
    return "miss";
  }

  @Override
  public Expression adapt(AdaptedLinear layer) {
    return variant == Variant.BAT ? multiplied(layer) : added(layer);
  }

  private Expression added(AdaptedLinear layer) {
    boolean mini = variant == Variant.MINI;
    require(layer, rank <= layer.in(), "r %d is more than its inputs".formatted(rank));
    require(
        layer,
        !mini || layer.out() % miniRank == 0,
        "mini_r %d does not divide its outputs".formatted(miniRank));
    int outputs = mini ? miniRank : layer.out();
    Expression block = layer.parameter("miss_block", AdaptedLinear.filled(0, rank, outputs));
    Expression rows = layer.constant("miss_rows", cycle(layer.in(), rank));
    Expression columns = layer.constant("miss_columns", cycle(layer.out(), outputs));
    Expression update = block.gathered(0, rows).gathered(1, columns); // [in, out]
    return layer.y().plus(layer.x().dropout(dropout).matmul(update));
  }

  private Expression multiplied(AdaptedLinear layer) {
    require(
        layer,
        layer.in() % rank == 0 && layer.out() % rank == 0,
        "blocks of %d do not divide it".formatted(rank));
    int rows = layer.out() / rank;
    int columns = layer.in() / rank;
    Expression block = layer.parameter("miss_block", AdaptedLinear.filled(0, rows, rank, rank));
    // W as [column block, row block, r, r], so that D [row block, r, r] multiplies each
    Expression blocks = layer.weight().reshaped(rows, rank, columns, rank).transposed(2, 0, 1, 3);
    Expression update = blocks.matmul(block).plus(block).transposed(1, 2, 0, 3);
    Expression flat = update.reshaped(layer.out(), layer.in());
    return layer.y().plus(layer.x().dropout(dropout).matmul(flat.transposed()));
  }

  private static void require(AdaptedLinear layer, boolean fits, String problem) {
    if (!fits) {
      throw new PeftException(
          "'%s' is [%d, %d]: %s; choose another rank or leave the layer out"
              .formatted(layer.path(), layer.out(), layer.in(), problem));
    }
  }

  private static Tensor cycle(int size, int period) {
    long[] entries = new long[size];
    for (int i = 0; i < size; i++) {
      entries[i] = i % period;
    }
    return Tensor.ofLongs(new long[] {size}, entries);
  }
}

package io.peft4j.adapters.reft;

import io.peft4j.RecipeException;
import io.peft4j.adapters.compose.Attachment;
import io.peft4j.adapters.compose.ComposableMethod;
import io.peft4j.adapters.compose.Nonlinearity;
import java.util.List;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * ReFT (Wu et al. 2024, arXiv 2404.03592): behind layers, the states h at the first and last tokens
 * become h + Rᵀ (f(W h + b) - R h), with R [r, hidden]. LoReFT has R of orthonormal rows, NoReFT a
 * free one, DiReFT leaves out R h.
 *
 * @param rank r
 * @param layers numbers of the layers; null for all
 * @param first how many tokens from the first on, padding apart
 * @param last how many up to the last
 * @param orthogonal whether R has orthonormal rows
 * @param tied whether first and last tokens have the same parameters
 * @param subtracting whether R h is subtracted
 * @param nonLinearity f; null for none
 * @param dropout the probability with which numbers of the new states are dropped in training
 */
public record Reft(
    int rank,
    @Nullable List<Integer> layers,
    int first,
    int last,
    boolean orthogonal,
    boolean tied,
    boolean subtracting,
    @Nullable String nonLinearity,
    double dropout)
    implements ComposableMethod {

  public Reft {
    if (rank < 1) {
      throw new RecipeException("r must be at least 1, was " + rank);
    }
    if (first < 0 || last < 0 || first + last < 1) {
      throw new RecipeException(
          "prefix_positions and suffix_positions must not be negative, and not both 0, were %d and %d"
              .formatted(first, last));
    }
    layers = layers == null ? null : List.copyOf(new TreeSet<>(layers));
    nonLinearity = nonLinearity == null ? null : Nonlinearity.checked(nonLinearity);
    if (!(dropout >= 0 && dropout < 1)) {
      throw new RecipeException("dropout must be from 0 to below 1, was " + dropout);
    }
  }

  /** On three first tokens of all layers, with orthonormal rows: AdapterHub's {@code loreft}. */
  public static Reft lowRank(int rank) {
    return new Reft(rank, null, 3, 0, true, false, true, null, 0.05);
  }

  /** As {@link #lowRank}, R free: AdapterHub's {@code noreft}. */
  public static Reft free(int rank) {
    return new Reft(rank, null, 3, 0, false, false, true, null, 0.05);
  }

  /** As {@link #free}, without R h: AdapterHub's {@code direft}. */
  public static Reft direct(int rank) {
    return new Reft(rank, null, 3, 0, false, false, false, null, 0.05);
  }

  @Override
  public String name() {
    return orthogonal ? "loreft" : subtracting ? "noreft" : "direft";
  }

  @Override
  public Depth depth() {
    return Depth.LAYER;
  }

  @Override
  public void add(Attachment at) {
    new ReftLayers(this, at).add();
  }
}

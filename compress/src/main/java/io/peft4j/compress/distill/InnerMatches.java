package io.peft4j.compress.distill;

import io.peft4j.RecipeException;

/**
 * What of the inside of its teacher a student learns beside the scores. Each is a weight in the
 * loss; with 0 it is left out. Vectors of other sizes than the teacher's are projected by a matrix
 * that trains and is thrown away.
 *
 * @param features of the features, which are what the last layer scores
 * @param hidden of the hidden states behind each of the student's N layers, held against layer i ·
 *     M / N of the teacher's M, the mean over the layers (Sun et al. 2019, arXiv 1908.09355)
 * @param relations of the relations of queries, keys and values in the last layers, added up
 *     ({@link RelationMatch})
 * @param attention of the attention in the last layers
 * @param heads that relations are split into
 * @param distance between features and between hidden states
 */
public record InnerMatches(
    double features,
    double hidden,
    double relations,
    double attention,
    int heads,
    Distance distance) {

  public InnerMatches {
    notNegative("features", features);
    notNegative("hidden", hidden);
    notNegative("relations", relations);
    notNegative("attention", attention);
    if (heads < 1) {
      throw new RecipeException("heads must be at least 1, was " + heads);
    }
  }

  private static void notNegative(String field, double value) {
    if (!(value >= 0) || Double.isInfinite(value)) {
      throw new RecipeException(field + " must be 0 or a positive number, was " + value);
    }
  }

  /** Nothing but the scores. */
  public static InnerMatches none() {
    return ofFeatures(0);
  }

  /** The features alone, by their cosine. */
  public static InnerMatches ofFeatures(double weight) {
    return new InnerMatches(weight, 0, 0, 0, 12, Distance.COSINE);
  }
}

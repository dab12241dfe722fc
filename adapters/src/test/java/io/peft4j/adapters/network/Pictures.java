package io.peft4j.adapters.network;

import io.peft4j.data.FeatureBatches;
import java.util.Random;

/**
 * Noisy pictures of 28 by 28 points in ten classes, each class three soft spots at random places.
 */
final class Pictures {
  static final int SIDE = 28;
  static final int CLASSES = 10;
  private static final int SPOTS = 3;
  private static final double WIDTH = 3;
  private static final double NOISE = 0.4;

  private final double[][][] spots = new double[CLASSES][SPOTS][2];

  Pictures(long seed) {
    Random random = new Random(seed);
    for (double[][] ofClass : spots) {
      for (double[] spot : ofClass) {
        spot[0] = 4 + 20 * random.nextDouble();
        spot[1] = 4 + 20 * random.nextDouble();
      }
    }
  }

  /** Pictures with their classes, the classes in turn. */
  FeatureBatches draw(int count, long seed, boolean mirrored) {
    Random random = new Random(seed);
    float[][] rows = new float[count][SIDE * SIDE];
    long[] labels = new long[count];
    for (int i = 0; i < count; i++) {
      labels[i] = i % CLASSES;
      for (int p = 0; p < rows[i].length; p++) {
        int x = p % SIDE;
        double light = light(i % CLASSES, p / SIDE, mirrored ? SIDE - 1 - x : x);
        rows[i][p] = (float) (light + NOISE * random.nextGaussian());
      }
    }
    return new FeatureBatches("input", rows, labels);
  }

  private double light(int ofClass, int y, int x) {
    double sum = 0;
    for (double[] spot : spots[ofClass]) {
      double square = Math.pow(y - spot[0], 2) + Math.pow(x - spot[1], 2);
      sum += Math.exp(-square / (2 * WIDTH * WIDTH));
    }
    return sum;
  }
}

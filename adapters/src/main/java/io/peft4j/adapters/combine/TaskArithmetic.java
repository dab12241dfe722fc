package io.peft4j.adapters.combine;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/** Weighted sums of arrays of equal length, some of whose entries are left out first. */
final class TaskArithmetic {
  private final CombinationType type;
  private final double density;
  private final MajoritySign sign;
  private final SplittableRandom random;

  TaskArithmetic(CombinationType type, double density, MajoritySign sign, SplittableRandom random) {
    this.type = type;
    this.density = density;
    this.sign = sign;
    this.random = random;
  }

  double[] combined(List<double[]> arrays, List<Double> weights) {
    List<double[]> kept = new ArrayList<>();
    for (double[] array : arrays) {
      boolean whole = !type.prunes() || density == 1;
      kept.add(whole ? array : type.isRandom() ? thinned(array) : largest(array));
    }
    return type.electsSign() ? disjointMean(kept, weights) : sum(kept, weights);
  }

  private static double[] sum(List<double[]> arrays, List<Double> weights) {
    double[] sum = new double[arrays.get(0).length];
    for (int n = 0; n < arrays.size(); n++) {
      for (int i = 0; i < sum.length; i++) {
        sum[i] += weights.get(n) * arrays.get(n)[i];
      }
    }
    return sum;
  }

  /** Each entry stays with the probability of the density, which it is then divided by. */
  private double[] thinned(double[] array) {
    double[] result = new double[array.length];
    for (int i = 0; i < array.length; i++) {
      result[i] = random.nextDouble() < density ? array[i] / density : 0;
    }
    return result;
  }

  /** The share of entries that are largest by magnitude; the first of equal ones stays. */
  private double[] largest(double[] array) {
    int count = (int) (density * array.length);
    double[] result = new double[array.length];
    IntStream.range(0, array.length)
        .boxed()
        .sorted(Comparator.comparingDouble((Integer i) -> -Math.abs(array[i])))
        .limit(count)
        .forEach(i -> result[i] = array[i]);
    return result;
  }

  /** For each entry the weighted mean over the arrays that have the elected sign there. */
  private double[] disjointMean(List<double[]> arrays, List<Double> weights) {
    double[] result = new double[arrays.get(0).length];
    for (int i = 0; i < result.length; i++) {
      double vote = 0;
      for (double[] array : arrays) {
        vote += sign == MajoritySign.TOTAL ? array[i] : Math.signum(array[i]);
      }
      double elected = vote >= 0 ? 1 : -1;
      double sum = 0;
      int count = 0;
      for (int n = 0; n < arrays.size(); n++) {
        double value = arrays.get(n)[i];
        if (Math.signum(value) == elected) {
          sum += weights.get(n) * value;
          count++;
        }
      }
      result[i] = sum / Math.max(1, count);
    }
    return result;
  }
}

package io.peft4j.math;

import java.util.Arrays;

/**
 * The numbers of {@code torch.Generator} on a CPU: the Mersenne Twister mt19937 (Matsumoto and
 * Nishimura 1998), and what torch makes of them.
 */
public final class TorchGenerator {
  private static final int N = 624;
  private static final int M = 397;

  /** Normal numbers that are made together. */
  private static final int NORMAL_BLOCK = 16;

  private final int[] state = new int[N];
  private int next = N;

  /** A generator as {@code manual_seed} leaves it. */
  public TorchGenerator(long seed) {
    state[0] = (int) seed;
    for (int i = 1; i < N; i++) {
      state[i] = 1812433253 * (state[i - 1] ^ (state[i - 1] >>> 30)) + i;
    }
  }

  /** The next 32 bits. */
  public int nextBits() {
    if (next == N) {
      twist();
    }
    int y = state[next++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return y ^ (y >>> 18);
  }

  /** Passes over some numbers. */
  public void skip(int count) {
    for (int i = 0; i < count; i++) {
      nextBits();
    }
  }

  private void twist() {
    for (int i = 0; i < N; i++) {
      int y = (state[i] & 0x80000000) | (state[(i + 1) % N] & 0x7fffffff);
      state[i] = state[(i + M) % N] ^ (y >>> 1) ^ ((y & 1) == 0 ? 0 : 0x9908b0df);
    }
    next = 0;
  }

  /** As {@code torch.rand} in float32: 24 bits, from 0 to below 1. */
  public float nextUniform() {
    return (nextBits() & 0xffffff) * 0x1p-24f;
  }

  /** As {@code Tensor.uniform_(-bound, bound)} in float32, row by row. */
  public float[] uniform(int size, float bound) {
    float[] values = new float[size];
    float range = 2 * bound;
    for (int i = 0; i < size; i++) {
      values[i] = nextUniform() * range - bound;
    }
    return values;
  }

  /** As {@code torch.randn(size)} in float32: Box and Muller's transform. */
  public float[] normal(int size) {
    float[] values = new float[size];
    if (size < NORMAL_BLOCK) {
      for (int i = 0; i < size; i += 2) {
        double angle = 2 * Math.PI * nextDouble();
        double radius = Math.sqrt(-2 * Math.log1p(-nextDouble()));
        values[i] = (float) (radius * Math.cos(angle));
        if (i + 1 < size) {
          values[i + 1] = (float) (radius * Math.sin(angle));
        }
      }
      return values;
    }
    for (int i = 0; i < size; i++) {
      values[i] = nextUniform();
    }
    for (int from = 0; from + NORMAL_BLOCK <= size; from += NORMAL_BLOCK) {
      makeNormal(values, from);
    }
    if (size % NORMAL_BLOCK != 0) {
      int from = size - NORMAL_BLOCK;
      for (int i = from; i < size; i++) {
        values[i] = nextUniform();
      }
      makeNormal(values, from);
    }
    return values;
  }

  /** Turns a block of uniform numbers into normal ones; its halves hold the pairs' parts. */
  private static void makeNormal(float[] values, int from) {
    for (int i = from; i < from + NORMAL_BLOCK / 2; i++) {
      double radius = Math.sqrt(-2 * Math.log(1 - values[i]));
      double angle = 2 * Math.PI * values[i + NORMAL_BLOCK / 2];
      values[i] = (float) (radius * Math.cos(angle));
      values[i + NORMAL_BLOCK / 2] = (float) (radius * Math.sin(angle));
    }
  }

  /** As torch's uniform numbers in float64: 53 of the bits of two numbers. */
  private double nextDouble() {
    long high = (long) nextBits() << 32;
    return ((high | Integer.toUnsignedLong(nextBits())) & (1L << 53) - 1) * 0x1p-53;
  }

  /** The first entries of {@code torch.randperm(size)}. */
  public int[] permutation(int size, int entries) {
    int[] order = new int[size];
    for (int i = 0; i < size; i++) {
      order[i] = i;
    }
    for (int i = 0; i < size - 1; i++) {
      int other = i + (int) (Integer.toUnsignedLong(nextBits()) % (size - i));
      int kept = order[i];
      order[i] = order[other];
      order[other] = kept;
    }
    return Arrays.copyOf(order, entries);
  }
}

package io.peft4j.math;

import java.util.Arrays;

/**
 * The numbers of {@code torch.Generator} on a CPU: the Mersenne Twister mt19937 (Matsumoto and
 * Nishimura 1998), and what torch makes of them.
 */
public final class TorchGenerator {
  private static final int N = 624;
  private static final int M = 397;

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

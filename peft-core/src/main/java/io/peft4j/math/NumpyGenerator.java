package io.peft4j.math;

import java.util.HashSet;
import java.util.Set;

/**
 * The numbers of {@code numpy.random.default_rng(seed)}: PCG64 (O'Neill 2014, XSL-RR with 128 bits
 * of state) seeded by SeedSequence, and what numpy makes of them.
 */
public final class NumpyGenerator {
  private static final long MULTIPLIER_HIGH = 0x2360ED051FC65DA4L;
  private static final long MULTIPLIER_LOW = 0x4385DF649FCCF645L;
  private static final int POOL = 4;

  private long high;
  private long low;
  private final long stepHigh;
  private final long stepLow;
  private boolean hasHalf;
  private int half;

  /**
   * @param seed at least 0
   */
  public NumpyGenerator(int seed) {
    long[] words = seedWords(seed);
    stepHigh = words[2] << 1 | words[3] >>> 63;
    stepLow = words[3] << 1 | 1;
    step();
    low += words[1];
    high += words[0] + (Long.compareUnsigned(low, words[1]) < 0 ? 1 : 0);
    step();
  }

  /** SeedSequence's {@code generate_state(4, uint64)}. */
  private static long[] seedWords(int seed) {
    int[] pool = new int[POOL];
    int[] hash = {0x43b0d7e5};
    for (int i = 0; i < POOL; i++) {
      pool[i] = hashed(i == 0 ? seed : 0, hash);
    }
    for (int from = 0; from < POOL; from++) {
      for (int to = 0; to < POOL; to++) {
        if (from != to) {
          int mixed = 0xca01f9dd * pool[to] - 0x4973f715 * hashed(pool[from], hash);
          pool[to] = mixed ^ mixed >>> 16;
        }
      }
    }
    long[] words = new long[4];
    int constant = 0x8b51f9dd;
    for (int i = 0; i < 2 * words.length; i++) {
      int value = pool[i % POOL] ^ constant;
      constant *= 0x58f38ded;
      value *= constant;
      value ^= value >>> 16;
      words[i / 2] |= Integer.toUnsignedLong(value) << (32 * (i % 2));
    }
    return words;
  }

  private static int hashed(int value, int[] hash) {
    int result = value ^ hash[0];
    hash[0] *= 0x931e8875;
    result *= hash[0];
    return result ^ result >>> 16;
  }

  private void step() {
    long product = low * MULTIPLIER_LOW;
    long carried =
        Math.multiplyHigh(low, MULTIPLIER_LOW)
            + (low >> 63 & MULTIPLIER_LOW)
            + (MULTIPLIER_LOW >> 63 & low);
    high = carried + high * MULTIPLIER_LOW + low * MULTIPLIER_HIGH + stepHigh;
    low = product + stepLow;
    high += Long.compareUnsigned(low, product) < 0 ? 1 : 0;
  }

  private int nextBits() {
    if (hasHalf) {
      hasHalf = false;
      return half;
    }
    step();
    long bits = Long.rotateRight(high ^ low, (int) (high >>> 58));
    hasHalf = true;
    half = (int) (bits >>> 32);
    return (int) bits;
  }

  /** A number from 0 to the limit, which is one of the results (Lemire 2019). */
  private int upTo(int limit) {
    if (limit == 0) {
      return 0;
    }
    long count = limit + 1L;
    long product = Integer.toUnsignedLong(nextBits()) * count;
    long threshold = (0xffffffffL - limit) % count;
    while ((product & 0xffffffffL) < threshold) {
      product = Integer.toUnsignedLong(nextBits()) * count;
    }
    return (int) (product >>> 32);
  }

  /** {@code shuffle}: all orders are as likely. */
  public void shuffle(int[] values) {
    for (int i = values.length - 1; i > 0; i--) {
      swap(values, i, masked(i));
    }
  }

  /** A number from 0 to the limit, drawn among the next power of two until one fits. */
  private int masked(int limit) {
    int mask = -1 >>> Integer.numberOfLeadingZeros(limit);
    int value = nextBits() & mask;
    while (value > limit) {
      value = nextBits() & mask;
    }
    return value;
  }

  /** {@code choice(size, count, replace=False)}: different numbers from 0 to below the size. */
  public int[] choice(int size, int count) {
    if (size > 10000 && count > size / 50) {
      return fromTail(size, count);
    }
    int[] chosen = new int[count];
    Set<Integer> taken = new HashSet<>();
    for (int i = size - count; i < size; i++) {
      int value = upTo(i);
      chosen[i - size + count] = taken.add(value) ? value : i;
      taken.add(chosen[i - size + count]);
    }
    for (int i = count - 1; i > 0; i--) {
      swap(chosen, i, upTo(i));
    }
    return chosen;
  }

  private int[] fromTail(int size, int count) {
    int[] all = new int[size];
    for (int i = 0; i < size; i++) {
      all[i] = i;
    }
    for (int i = size - 1; i >= Math.max(size - count, 1); i--) {
      swap(all, i, upTo(i));
    }
    int[] chosen = new int[count];
    System.arraycopy(all, size - count, chosen, 0, count);
    return chosen;
  }

  private static void swap(int[] values, int i, int j) {
    int kept = values[i];
    values[i] = values[j];
    values[j] = kept;
  }
}

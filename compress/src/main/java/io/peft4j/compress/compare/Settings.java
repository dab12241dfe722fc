package io.peft4j.compress.compare;

import io.peft4j.RecipeException;

/**
 * How a comparison measures.
 *
 * @param rounds how often each classifier has its turn
 * @param maxLength tokens of a text at most
 * @param threads of ONNX Runtime; 0 for as many as it takes by itself
 */
record Settings(int rounds, int maxLength, int threads) {
  static final Settings STANDARD = new Settings(8, 128, 0);

  Settings {
    if (rounds < 1) {
      throw new RecipeException("rounds must be at least 1, was " + rounds);
    }
    if (maxLength < 1) {
      throw new RecipeException("maxLength must be at least 1, was " + maxLength);
    }
    if (threads < 0) {
      throw new RecipeException("threads must be 0 or more, was " + threads);
    }
  }
}

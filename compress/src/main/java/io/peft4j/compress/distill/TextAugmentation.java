package io.peft4j.compress.distill;

import java.util.List;
import java.util.random.RandomGenerator;

/**
 * Makes further texts out of those there are, for a teacher to speak of; they get no labels. One
 * method, so a lambda will do.
 */
@FunctionalInterface
public interface TextAugmentation {
  /**
   * Another text.
   *
   * @param words of the text, split at white space; at least one
   * @param corpus all texts, likewise
   * @return at least one word
   */
  List<String> apply(List<String> words, List<List<String>> corpus, RandomGenerator random);
}

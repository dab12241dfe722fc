package io.peft4j.compress.distill;

import io.peft4j.RecipeException;
import java.util.ArrayList;
import java.util.List;

/** Augmentations that need nothing but the texts. */
public final class TextAugmentations {
  private TextAugmentations() {}

  /**
   * Puts a mark in the place of words (Tang et al. 2019, arXiv 1903.12136, section 3.2).
   *
   * @param share the probability of each word to go
   * @param mark what the tokenizer takes for a hidden word, for example {@code [MASK]}
   */
  public static TextAugmentation masking(double share, String mark) {
    requireShare(share);
    return (words, corpus, random) ->
        words.stream().map(word -> random.nextDouble() < share ? mark : word).toList();
  }

  /** Leaves words out, each with this probability; one stays at least. */
  public static TextAugmentation dropping(double share) {
    requireShare(share);
    return (words, corpus, random) -> {
      List<String> kept = words.stream().filter(word -> random.nextDouble() >= share).toList();
      return kept.isEmpty() ? List.of(words.get(random.nextInt(words.size()))) : kept;
    };
  }

  /** Exchanges each word with the next one with this probability. */
  public static TextAugmentation swapping(double share) {
    requireShare(share);
    return (words, corpus, random) -> {
      List<String> changed = new ArrayList<>(words);
      for (int i = 0; i + 1 < changed.size(); i++) {
        if (random.nextDouble() < share) {
          changed.set(i, words.get(i + 1));
          changed.set(++i, words.get(i - 1));
        }
      }
      return changed;
    };
  }

  /**
   * A run of words out of the text, of one word to {@code longest} (Tang et al. 2019, section 3.2).
   */
  public static TextAugmentation sampling(int longest) {
    if (longest < 1) {
      throw new RecipeException("longest must be at least 1, was " + longest);
    }
    return (words, corpus, random) -> {
      int size = Math.min(words.size(), random.nextInt(1, longest + 1));
      int from = random.nextInt(words.size() - size + 1);
      return List.copyOf(words.subList(from, from + size));
    };
  }

  /** The beginning of the text and the end of another. */
  public static TextAugmentation splicing() {
    return (words, corpus, random) -> {
      List<String> other = corpus.get(random.nextInt(corpus.size()));
      List<String> spliced = new ArrayList<>(words.subList(0, random.nextInt(words.size()) + 1));
      spliced.addAll(other.subList(random.nextInt(other.size()), other.size()));
      return spliced;
    };
  }

  /** Puts words of other texts in the place of words, each with this probability. */
  public static TextAugmentation replacing(double share) {
    requireShare(share);
    return (words, corpus, random) ->
        words.stream()
            .map(
                word -> {
                  List<String> other = corpus.get(random.nextInt(corpus.size()));
                  return random.nextDouble() < share
                      ? other.get(random.nextInt(other.size()))
                      : word;
                })
            .toList();
  }

  private static void requireShare(double share) {
    if (!(share >= 0 && share < 1)) {
      throw new RecipeException("share must be from 0 to below 1, was " + share);
    }
  }
}

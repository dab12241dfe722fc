package io.peft4j.compress.distill;

import io.peft4j.RecipeException;
import io.peft4j.data.Dataset;
import io.peft4j.data.Example;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.regex.Pattern;

/**
 * How many further texts are made, and by what.
 *
 * @param copies further texts for each text; those that are there already are not taken
 * @param kinds each further text is made by one of these, drawn evenly
 */
public record Augmentation(int copies, List<TextAugmentation> kinds) {
  private static final Pattern SPACE = Pattern.compile("\\s+");

  public Augmentation {
    kinds = List.copyOf(kinds);
    if (copies < 0 || (copies > 0 && kinds.isEmpty())) {
      throw new RecipeException(
          "copies must be 0 or a positive number with at least one kind, was %d with %d kinds"
              .formatted(copies, kinds.size()));
    }
  }

  /** No further texts. */
  public static Augmentation none() {
    return new Augmentation(0, List.of());
  }

  /** All kinds that need no knowledge of the tokenizer. */
  public static Augmentation standard(int copies) {
    return new Augmentation(
        copies,
        List.of(
            TextAugmentations.dropping(0.2),
            TextAugmentations.swapping(0.2),
            TextAugmentations.sampling(5),
            TextAugmentations.replacing(0.2),
            TextAugmentations.splicing()));
  }

  /** The rows, and behind them further ones without labels. The second text of pairs stays. */
  public Dataset apply(Dataset rows, long seed) {
    List<List<String>> corpus = new ArrayList<>();
    Set<String> known = new HashSet<>();
    for (Example row : rows.examples()) {
      known.add(key(row.text(), row));
      if (!row.text().isBlank()) {
        corpus.add(List.of(SPACE.split(row.text().strip())));
      }
    }
    List<Example> all = new ArrayList<>(rows.examples());
    SplittableRandom random = new SplittableRandom(seed);
    for (int copy = 0; copy < copies; copy++) {
      for (Example row : rows.examples()) {
        if (!row.text().isBlank()) {
          List<String> words = List.of(SPACE.split(row.text().strip()));
          TextAugmentation kind = kinds.get(random.nextInt(kinds.size()));
          String text = String.join(" ", kind.apply(words, corpus, random));
          if (known.add(key(text, row))) {
            all.add(new Example(text, row.second(), null, 0));
          }
        }
      }
    }
    return new Dataset(rows.name(), all);
  }

  private static String key(String text, Example row) {
    return row.second() == null ? text : text + '\n' + row.second();
  }
}

package io.peft4j.data;

import io.peft4j.PeftException;
import java.util.List;
import java.util.TreeSet;

/**
 * Rows of text in order.
 *
 * @param name where they came from, for messages
 */
public record Dataset(String name, List<Example> examples) {
  public Dataset {
    examples = List.copyOf(examples);
  }

  public int size() {
    return examples.size();
  }

  /**
   * The classes that occur, sorted.
   *
   * @throws PeftException if a row has none
   */
  public List<String> labels() {
    TreeSet<String> labels = new TreeSet<>();
    for (Example example : examples) {
      labels.add(label(example));
    }
    return List.copyOf(labels);
  }

  /**
   * The number of each row's class in the given order.
   *
   * @throws PeftException if a row has no class, or one that is not among the given
   */
  public long[] labelIds(List<String> known) {
    long[] ids = new long[examples.size()];
    for (int i = 0; i < ids.length; i++) {
      Example example = examples.get(i);
      ids[i] = known.indexOf(label(example));
      if (ids[i] < 0) {
        throw new PeftException(
            "%s, line %d: label '%s' was not seen in training; the labels are %s"
                .formatted(name, example.line(), example.label(), String.join(", ", known)));
      }
    }
    return ids;
  }

  private String label(Example example) {
    String label = example.label();
    if (label == null || label.isEmpty()) {
      throw new PeftException(
          "%s, line %d: the row has no label; give it one or remove it"
              .formatted(name, example.line()));
    }
    return label;
  }
}

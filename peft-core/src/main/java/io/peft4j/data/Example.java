package io.peft4j.data;

import org.jspecify.annotations.Nullable;

/**
 * One row of labelled text.
 *
 * @param text the text, or the first of a pair
 * @param second the second text of a pair; null for single texts
 * @param label the class; null where the file has none
 * @param line the line of the file that it came from, from 1; 0 if it came from elsewhere
 */
public record Example(String text, @Nullable String second, @Nullable String label, long line) {
  public static Example of(String text, String label) {
    return new Example(text, null, label, 0);
  }
}

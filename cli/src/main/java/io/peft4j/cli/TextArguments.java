package io.peft4j.cli;

import io.peft4j.data.DataFiles;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Where texts and labels stand in data files, and how much of a text is read. */
final class TextArguments {
  @Option(names = "--text-column", description = "Default: text.")
  private String text = "text";

  @Option(names = "--second-column", description = "The second text of pairs.")
  private @Nullable String second;

  @Option(names = "--label-column", description = "Default: label.")
  private String label = "label";

  @Option(
      names = "--max-length",
      converter = NumberArguments.Count.class,
      description = "Tokens of a text at most (default: 128).")
  private int maxLength = 128;

  DataFiles.Columns columns() {
    return new DataFiles.Columns(text, second, label);
  }

  int maxLength() {
    return maxLength;
  }
}

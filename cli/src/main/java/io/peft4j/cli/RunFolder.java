package io.peft4j.cli;

import io.peft4j.PeftException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/**
 * The folder that a run writes to.
 *
 * @param output the folder
 * @param marks files that every finished run of this kind has
 * @param kept what may lie there before a run and is used again
 */
record RunFolder(Path output, List<String> marks, List<String> kept) {

  /** Where the states of an unfinished run are. */
  Path state() {
    return output.resolve("state");
  }

  /**
   * Checks that a run may start here.
   *
   * @throws PeftException if something is there that must stay, or nothing to go on with
   */
  void require(boolean resume, boolean overwrite) {
    boolean unfinished = Files.isDirectory(state());
    if (resume && !unfinished) {
      throw new PeftException(
          "%s holds no state to resume from; leave out --resume to start anew".formatted(output));
    }
    if (!resume && !overwrite && unfinished) {
      throw new PeftException(
          "%s holds an unfinished run; go on with --resume, or start anew with --overwrite"
              .formatted(output));
    }
    if (unfinished || holdsOnlyWhatIsKept()) {
      return;
    }
    if (overwrite) {
      Outputs.requireReplaceable(output, marks);
    } else {
      Outputs.requireEmpty(output);
    }
  }

  private boolean holdsOnlyWhatIsKept() {
    if (!Files.isDirectory(output)) {
      return false;
    }
    try (Stream<Path> files = Files.list(output)) {
      return files.allMatch(file -> kept.contains(String.valueOf(file.getFileName())));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}

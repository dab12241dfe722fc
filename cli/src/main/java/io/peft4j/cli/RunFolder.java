package io.peft4j.cli;

import com.google.common.io.MoreFiles;
import com.google.common.io.RecursiveDeleteOption;
import io.peft4j.PeftException;
import io.peft4j.train.Trainer;
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
    boolean unfinished = Trainer.hasState(state());
    if (!unfinished) {
      removeRemains();
    }
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

  /** Removes what a run left that was killed before its first state, if there is nothing else. */
  private void removeRemains() {
    if (!Files.isDirectory(state())) {
      return;
    }
    try (Stream<Path> files = Files.list(state())) {
      if (files.allMatch(f -> f.getFileName().toString().matches("\\.step-.*\\.part(\\.old)?"))) {
        MoreFiles.deleteRecursively(state(), RecursiveDeleteOption.ALLOW_INSECURE);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
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

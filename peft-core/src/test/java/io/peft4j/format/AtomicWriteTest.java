package io.peft4j.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.PeftException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class AtomicWriteTest {
  @TempDir Path folder;

  @Test
  void aFileReplacesAFile() throws IOException {
    Path target = Files.writeString(folder.resolve("out"), "old");
    AtomicWrite.file(target, file -> Files.writeString(file, "new"));
    assertThat(target).hasContent("new");
    assertThat(left()).containsExactly("out");
  }

  @Test
  void aFolderReplacesAFolderWhole() throws IOException {
    Path target = Files.createDirectory(folder.resolve("out"));
    Files.writeString(target.resolve("a"), "old");
    AtomicWrite.folder(target, made -> Files.writeString(made.resolve("b"), "new"));
    assertThat(target.resolve("a")).doesNotExist();
    assertThat(target.resolve("b")).hasContent("new");
    assertThat(left()).containsExactly("out");
  }

  @Test
  void aFileNeverReplacesAFolder() throws IOException {
    Path target = Files.createDirectory(folder.resolve("out"));
    Path diary = Files.writeString(target.resolve("diary"), "dear diary");
    assertThatThrownBy(() -> AtomicWrite.file(target, file -> Files.writeString(file, "new")))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("there is a folder of this name");
    assertThat(diary).hasContent("dear diary");
  }

  @Test
  void aFolderNeverReplacesAFile() throws IOException {
    Path target = Files.writeString(folder.resolve("out"), "old");
    assertThatThrownBy(() -> AtomicWrite.folder(target, made -> {}))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("there is a file of this name");
    assertThat(target).hasContent("old");
  }

  @Test
  void aWriteThatFailsLeavesWhatWasThereAndNothingElse() throws IOException {
    Path target = Files.writeString(folder.resolve("out"), "old");
    assertThatThrownBy(
            () ->
                AtomicWrite.file(
                    target,
                    file -> {
                      Files.writeString(file, "ne");
                      throw new IOException("the disk is full");
                    }))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("the disk is full");
    assertThat(target).hasContent("old");
    assertThat(left()).containsExactly("out");
  }

  @Test
  void aFileOnTheWayIsNamed() throws IOException {
    Path file = Files.writeString(folder.resolve("out"), "old");
    assertThatThrownBy(() -> AtomicWrite.file(file.resolve("x"), made -> {}))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("out is there already and is no folder");
  }

  private List<String> left() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(f -> f.getFileName().toString()).toList();
    }
  }
}

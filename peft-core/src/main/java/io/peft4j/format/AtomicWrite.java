package io.peft4j.format;

import com.google.common.io.MoreFiles;
import com.google.common.io.RecursiveDeleteOption;
import io.peft4j.PeftException;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.concurrent.ThreadLocalRandom;

/**
 * Output that appears whole or not at all: it is written under a temporary name beside its target
 * and then renamed. On any failure the temporary is removed and what stood at the target is left as
 * it was.
 */
public final class AtomicWrite {
  private AtomicWrite() {}

  /** Writes to a path that does not exist yet. */
  @FunctionalInterface
  public interface Writer {
    void writeTo(Path temporary) throws IOException;
  }

  /**
   * Makes one file. A file at the target is replaced, a folder never is.
   *
   * @throws PeftException if it cannot be written
   */
  public static void file(Path target, Writer writer) {
    write(target, writer, false);
  }

  /**
   * Makes one folder; the writer is given a new, empty one. A folder at the target is replaced, a
   * file never is.
   *
   * @throws PeftException if it cannot be written
   */
  public static void folder(Path target, Writer writer) {
    write(target, writer, true);
  }

  private static void write(Path target, Writer writer, boolean folder) {
    Path absolute = target.toAbsolutePath().normalize();
    Path parent = absolute.getParent();
    if (parent == null) {
      throw new PeftException("cannot write to " + target + ": it is a root; give another path");
    }
    if (Files.exists(absolute) && folder != Files.isDirectory(absolute)) {
      throw new PeftException(
          "cannot write %s: there is a %s of this name; give another path"
              .formatted(target, folder ? "file" : "folder"));
    }
    String stem = "." + absolute.getFileName() + "." + Long.toHexString(random()) + ".part";
    Path temporary = parent.resolve(stem);
    Thread cleaner = new Thread(() -> deleteQuietly(temporary));
    Runtime.getRuntime().addShutdownHook(cleaner); // Ctrl-C leaves nothing behind
    try {
      Files.createDirectories(parent);
      if (folder) {
        Files.createDirectory(temporary);
      }
      writer.writeTo(temporary);
      replace(temporary, absolute);
    } catch (IOException e) {
      throw new PeftException(
          "cannot write "
              + target
              + ": "
              + reason(e)
              + "; nothing was changed there, check space and permissions",
          e);
    } finally {
      deleteQuietly(temporary);
      unhook(cleaner);
    }
  }

  private static void replace(Path temporary, Path target) throws IOException {
    if (Files.isDirectory(target)) {
      Path old = temporary.resolveSibling(temporary.getFileName() + ".old");
      Files.move(target, old);
      try {
        Files.move(temporary, target);
      } catch (IOException e) {
        Files.move(old, target);
        throw e;
      }
      MoreFiles.deleteRecursively(old, RecursiveDeleteOption.ALLOW_INSECURE);
      return;
    }
    try {
      Files.move(
          temporary, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } catch (AtomicMoveNotSupportedException e) {
      Files.move(temporary, target, StandardCopyOption.REPLACE_EXISTING);
    }
  }

  private static String reason(IOException e) {
    if (e instanceof AccessDeniedException denied) {
      return denied.getFile() + " may not be written";
    }
    if (e instanceof FileAlreadyExistsException exists) {
      return exists.getFile() + " is there already and is no folder";
    }
    if (e instanceof NoSuchFileException missing) {
      return missing.getFile() + " does not exist";
    }
    return e.getMessage() == null ? "no reason given" : e.getMessage();
  }

  private static long random() {
    return ThreadLocalRandom.current().nextLong();
  }

  private static void deleteQuietly(Path path) {
    try {
      if (Files.exists(path)) {
        MoreFiles.deleteRecursively(path, RecursiveDeleteOption.ALLOW_INSECURE);
      }
    } catch (IOException e) {
      // Only our own temporary: the write has failed or succeeded already, and this changes
      // neither.
    }
  }

  private static void unhook(Thread cleaner) {
    try {
      Runtime.getRuntime().removeShutdownHook(cleaner);
    } catch (IllegalStateException e) {
      // The JVM is going down; the hook runs by itself.
    }
  }
}

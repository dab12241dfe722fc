package io.peft4j.cli;

import ai.djl.engine.EngineException;
import io.peft4j.PeftException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.util.regex.Pattern;

/** Errors as one line for people: what, where, what to do. */
final class Errors {
  private static final Pattern CLASS_NAME = Pattern.compile("\\b(?:[a-z]\\w*\\.)+[A-Z]\\w*");

  private Errors() {}

  static String describe(Throwable error) {
    if (error instanceof PeftException) {
      return oneLine(String.valueOf(error.getMessage()));
    }
    if (error instanceof UncheckedIOException io && io.getCause() != null) {
      return describe(io.getCause());
    }
    if (error instanceof NoSuchFileException missing) {
      return missing.getFile() + " does not exist; check the path";
    }
    if (error instanceof AccessDeniedException denied) {
      return denied.getFile() + " may not be read or written; check its permissions";
    }
    if (error instanceof FileSystemException file && file.getReason() == null) {
      return file.getFile() + " cannot be read or written; check what is there, and permissions";
    }
    if (error instanceof OutOfMemoryError) {
      return "memory ran out; use shorter or smaller batches, or give more in PEFT4J_JAVA_OPTS";
    }
    if (error instanceof LinkageError) {
      return "a native library cannot be loaded; run again with --stacktrace to see which, and check"
          + " that it is made for this platform";
    }
    if (error instanceof IOException && error.getMessage() != null) {
      return oneLine(error.getMessage()) + "; check files, space and permissions";
    }
    String reason = reason(error);
    if (error instanceof EngineException) {
      return "the engine failed: " + reason + "; run again with --stacktrace to see where";
    }
    return "unexpected failure: %s; run again with --stacktrace and report what it prints"
        .formatted(reason);
  }

  /** The first line of what was said, unless it speaks of the program's insides. */
  private static String reason(Throwable error) {
    String message = error.getMessage() == null ? "" : error.getMessage().strip();
    return message.isEmpty() || CLASS_NAME.matcher(message).find()
        ? "no reason given"
        : message.lines().iterator().next().strip();
  }

  /** The text without line ends. */
  static String oneLine(String text) {
    return text.strip().replaceAll("\\s*\\R\\s*", " ");
  }
}

package io.peft4j.cli;

import ai.djl.engine.EngineException;
import io.peft4j.PeftException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.NoSuchFileException;

/** Errors as one line for people: what, where, what to do. */
final class Errors {
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
    String message = error.getMessage() == null ? "no reason given" : error.getMessage();
    if (error instanceof IOException) {
      return oneLine(message) + "; check files, space and permissions";
    }
    if (error instanceof EngineException) {
      return oneLine("the engine failed: " + message);
    }
    return oneLine("unexpected failure: " + message)
        + "; run again with --stacktrace and report what it prints";
  }

  /** The text without line ends. */
  static String oneLine(String text) {
    return text.strip().replaceAll("\\s*\\R\\s*", " ");
  }
}

package io.peft4j.cli;

import com.google.common.io.ByteStreams;
import com.google.common.io.CountingOutputStream;
import io.peft4j.PretrainedModel;
import io.peft4j.compress.export.VerifiedExport;
import io.peft4j.engine.OutputDifference;
import io.peft4j.format.Formats;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import java.util.zip.GZIPOutputStream;

/** A compact model on its way to a file or folder. */
final class CompactOutput {
  private CompactOutput() {}

  /**
   * Writes a model: as ONNX, checked in ONNX Runtime, if the path ends in {@code .onnx} or the
   * model was read from ONNX, else as SafeTensors.
   */
  static void write(PretrainedModel model, Path target, Path source) {
    boolean onnx =
        target.toString().endsWith(".onnx") || model.checkpoint().format().equals("onnx");
    if (onnx) {
      VerifiedExport.onnx(model, target, OutputDifference.tolerance(model.graph()));
      Outputs.tokenizerBeside(target, source);
    } else {
      Formats.modelNamed(model.checkpoint().format())
          .write(model.checkpoint(), model.graph(), target);
    }
  }

  /** The files of a model: itself, or what its folder holds. */
  private static List<Path> files(Path model) throws IOException {
    try (Stream<Path> files = Files.walk(model)) {
      return files.filter(Files::isRegularFile).toList();
    }
  }

  /** The bytes that a model takes. */
  static long bytes(Path model) {
    try {
      long sum = 0;
      for (Path file : files(model)) {
        sum += Files.size(file);
      }
      return sum;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The bytes that gzip makes of a model. */
  static long compressedBytes(Path model) {
    try (CountingOutputStream counter = new CountingOutputStream(ByteStreams.nullOutputStream())) {
      try (GZIPOutputStream zip = new GZIPOutputStream(counter)) {
        for (Path file : files(model)) {
          Files.copy(file, zip);
        }
      }
      return counter.getCount();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}

package io.peft4j.loaders.onnx;

import io.peft4j.CheckpointFormatException;
import io.peft4j.UnsupportedModelException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashMap;
import java.util.Map;

/**
 * The files beside an ONNX file that hold the bytes of its large tensors. They must lie in the
 * file's own folder: an ONNX file from elsewhere must not be able to read other files of this
 * machine.
 */
final class ExternalData {
  private final Path model;
  private final Map<Path, Long> sizes = new HashMap<>();

  ExternalData(Path model) {
    this.model = model;
  }

  /**
   * Maps the bytes of a tensor.
   *
   * @param tensor its name, for messages
   * @param entries the keys {@code location}, {@code offset} and {@code length} of the file
   * @param bytes how many the tensor's type and shape need
   */
  ByteBuffer map(String tensor, Map<String, String> entries, long bytes) {
    Path file = file(tensor, entries.getOrDefault("location", ""));
    long offset = number(tensor, entries, "offset", 0);
    long length = number(tensor, entries, "length", bytes);
    if (length != bytes) {
      throw damaged(tensor, "gives %d bytes, its shape needs %d".formatted(length, bytes));
    }
    long size = size(tensor, file);
    if (offset > size || bytes > size - offset) {
      throw damaged(
          tensor,
          "is said to lie at bytes %d to %d of %s, which has %d bytes; copy that file again"
              .formatted(offset, offset + bytes, file.getFileName(), size));
    }
    if (bytes > Integer.MAX_VALUE) {
      throw new UnsupportedModelException(
          "%s: tensor '%s' has %d bytes, the limit is 2 GiB a tensor"
              .formatted(model, tensor, bytes));
    }
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      return channel.map(FileChannel.MapMode.READ_ONLY, offset, bytes);
    } catch (IOException e) {
      throw new CheckpointFormatException(
          "%s: external data %s of tensor '%s' cannot be read (%s)"
              .formatted(model, file.getFileName(), tensor, e.getMessage()),
          e);
    }
  }

  private Path file(String tensor, String location) {
    Path relative;
    try {
      relative = Path.of(location);
    } catch (InvalidPathException e) {
      throw damaged(tensor, "names the file '%s', which is no path".formatted(location));
    }
    Path folder = model.toAbsolutePath().normalize().getParent();
    if (folder == null) {
      throw damaged(tensor, "has no folder that its file '%s' could lie in".formatted(location));
    }
    Path resolved = folder.resolve(relative).normalize();
    boolean climbs = relative.isAbsolute() || location.startsWith("/") || location.startsWith("\\");
    for (Path part : relative) {
      climbs |= part.toString().equals("..");
    }
    if (location.isEmpty() || climbs || !resolved.startsWith(folder)) {
      throw damaged(
          tensor,
          "names the file '%s'; external data must lie in the model's own folder"
              .formatted(location));
    }
    if (!Files.exists(resolved)) {
      throw damaged(
          tensor,
          "lies in the file '%s', which is not beside the model; copy it there"
              .formatted(location));
    }
    requireInside(tensor, location, folder, resolved);
    return resolved;
  }

  private void requireInside(String tensor, String location, Path folder, Path file) {
    try {
      if (!file.toRealPath().startsWith(folder.toRealPath())) {
        throw damaged(
            tensor,
            "names '%s', a link out of the model's folder; put the file itself there"
                .formatted(location));
      }
    } catch (IOException e) {
      throw damaged(tensor, "names '%s', which cannot be read".formatted(location));
    }
    if (!Files.isRegularFile(file)) {
      throw damaged(tensor, "names '%s', which is no regular file".formatted(location));
    }
  }

  private long size(String tensor, Path file) {
    return sizes.computeIfAbsent(
        file,
        f -> {
          try {
            return Files.size(f);
          } catch (IOException e) {
            throw damaged(tensor, "lies in '%s', which cannot be read".formatted(f.getFileName()));
          }
        });
  }

  private long number(String tensor, Map<String, String> entries, String key, long absent) {
    String text = entries.get(key);
    if (text == null) {
      return absent;
    }
    try {
      long value = Long.parseLong(text);
      if (value >= 0) {
        return value;
      }
    } catch (NumberFormatException e) {
      throw damaged(tensor, "has the %s '%s', which is no number".formatted(key, text));
    }
    throw damaged(tensor, "has the negative %s %s".formatted(key, text));
  }

  private CheckpointFormatException damaged(String tensor, String what) {
    return new CheckpointFormatException(
        "%s: external data of tensor '%s' %s".formatted(model, tensor, what));
  }
}

package io.peft4j.loaders.safetensors;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import io.peft4j.CheckpointFormatException;
import io.peft4j.UnsupportedModelException;
import io.peft4j.format.AtomicWrite;
import io.peft4j.graph.Tensor;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Files in the SafeTensors format: eight bytes that give the length of the header, the header as
 * JSON, and the tensors' bytes one behind the other.
 */
public final class SafeTensors {
  /** The limit of the reference implementation. */
  private static final long LONGEST_HEADER = 100_000_000;

  private static final int CHUNK = 1 << 23;

  private SafeTensors() {}

  /**
   * Reads a file. Its data are mapped, not copied.
   *
   * @throws CheckpointFormatException if the file is missing, damaged or contradicts itself
   * @throws UnsupportedModelException if a single tensor is over 2 GiB
   */
  public static SafeTensorsFile read(Path file) {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      long size = channel.size();
      if (size < 8) {
        throw damaged(file, "it has %d bytes, too few for the length at offset 0".formatted(size));
      }
      long length = readFully(channel, 0, 8).order(ByteOrder.LITTLE_ENDIAN).getLong();
      if (length <= 0 || length > LONGEST_HEADER || length > size - 8) {
        throw damaged(
            file,
            "the header length at offset 0 is %s, the file has %d bytes and the limit is %d"
                .formatted(Long.toUnsignedString(length), size, LONGEST_HEADER));
      }
      byte[] header = readFully(channel, 8, (int) length).array();
      long start = 8 + length;
      SafeTensorsHeader parsed = SafeTensorsHeader.parse(file, header, size - start);
      return new SafeTensorsFile(file, map(file, channel, start, parsed), parsed.metadata());
    } catch (IOException e) {
      throw unreadable(file, e);
    }
  }

  private static ByteBuffer readFully(FileChannel channel, long position, int length)
      throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(length);
    while (buffer.hasRemaining()) {
      if (channel.read(buffer, position + buffer.position()) < 0) {
        throw new EOFException("the file ended while it was read");
      }
    }
    return buffer.flip();
  }

  private static Map<String, Tensor> map(
      Path file, FileChannel channel, long start, SafeTensorsHeader header) throws IOException {
    long size = channel.size();
    ByteBuffer whole =
        size <= Integer.MAX_VALUE ? channel.map(FileChannel.MapMode.READ_ONLY, 0, size) : null;
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    for (Map.Entry<String, SafeTensorsHeader.Entry> named : header.entries().entrySet()) {
      SafeTensorsHeader.Entry entry = named.getValue();
      long length = entry.end() - entry.begin();
      if (length > Integer.MAX_VALUE) {
        throw new UnsupportedModelException(
            "%s: tensor '%s' has %d bytes, the limit is 2 GiB a tensor; use a checkpoint in a"
                    .formatted(file, named.getKey(), length)
                + " narrower type");
      }
      long from = start + entry.begin();
      ByteBuffer data =
          whole != null
              ? whole.slice((int) from, (int) length)
              : channel.map(FileChannel.MapMode.READ_ONLY, from, length);
      tensors.put(named.getKey(), Tensor.of(entry.type().dtype(), entry.shape(), data));
    }
    return tensors;
  }

  /**
   * Reads the shards that an index lists, as one.
   *
   * @param index a file like {@code model.safetensors.index.json}; its shards lie in the same
   *     folder
   * @return the tensors of all shards
   * @throws CheckpointFormatException if a file is missing or damaged, or the index does not list
   *     just what its shards hold
   */
  public static SafeTensorsFile readSharded(Path index) {
    return ShardIndex.read(index).load();
  }

  /**
   * Writes a file, whole or not at all. Tensors are laid out as the reference implementation does:
   * by element type, the widest first, then by name.
   *
   * @param metadata written as {@code __metadata__} if not empty
   * @throws UnsupportedModelException if SafeTensors has no type for a tensor
   * @throws io.peft4j.PeftException if the file cannot be written
   */
  public static void write(Path target, Map<String, Tensor> tensors, Map<String, String> metadata) {
    List<Map.Entry<String, Tensor>> order = new ArrayList<>(tensors.entrySet());
    order.forEach(e -> checkWritable(target, e.getKey(), e.getValue()));
    order.sort(SafeTensors::compareLayout);
    byte[] header = header(order, metadata);
    AtomicWrite.file(
        target,
        temporary -> {
          try (FileChannel channel =
              FileChannel.open(
                  temporary, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
            ByteBuffer length = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
            writeFully(channel, length.putLong(header.length).flip());
            writeFully(channel, ByteBuffer.wrap(header));
            for (Map.Entry<String, Tensor> tensor : order) {
              writeFully(channel, tensor.getValue().data());
            }
          }
        });
  }

  private static void checkWritable(Path target, String name, Tensor tensor) {
    if (name.equals(SafeTensorsHeader.METADATA)) {
      throw new UnsupportedModelException(
          target + ": a tensor cannot be named '" + name + "' in SafeTensors; rename it");
    }
    boolean whole = tensor.dtype().bits() * (tensor.size() % 8) % 8 == 0;
    if (SafeTensorsType.of(tensor.dtype()) == null || !whole) {
      throw new UnsupportedModelException(
          "%s: SafeTensors cannot hold tensor '%s' of type %s; convert it to one of %s"
              .formatted(target, name, tensor, SafeTensorsType.names()));
    }
  }

  private static int compareLayout(Map.Entry<String, Tensor> a, Map.Entry<String, Tensor> b) {
    int byType = type(b.getValue()).compareTo(type(a.getValue()));
    return byType != 0
        ? byType
        : Arrays.compareUnsigned(
            a.getKey().getBytes(StandardCharsets.UTF_8),
            b.getKey().getBytes(StandardCharsets.UTF_8));
  }

  private static SafeTensorsType type(Tensor tensor) {
    SafeTensorsType type = SafeTensorsType.of(tensor.dtype());
    if (type == null) {
      throw new IllegalStateException("not checked: " + tensor);
    }
    return type;
  }

  private static byte[] header(
      List<Map.Entry<String, Tensor>> order, Map<String, String> metadata) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (JsonGenerator json = new JsonFactory().createGenerator(bytes)) {
      json.writeStartObject();
      if (!metadata.isEmpty()) {
        json.writeObjectFieldStart(SafeTensorsHeader.METADATA);
        for (Map.Entry<String, String> entry : metadata.entrySet()) {
          json.writeStringField(entry.getKey(), entry.getValue());
        }
        json.writeEndObject();
      }
      long position = 0;
      for (Map.Entry<String, Tensor> named : order) {
        Tensor tensor = named.getValue();
        json.writeObjectFieldStart(named.getKey());
        json.writeStringField("dtype", type(tensor).name());
        json.writeFieldName("shape");
        json.writeArray(tensor.shape(), 0, tensor.rank());
        json.writeFieldName("data_offsets");
        json.writeArray(new long[] {position, position + tensor.byteSize()}, 0, 2);
        json.writeEndObject();
        position += tensor.byteSize();
      }
      json.writeEndObject();
    } catch (IOException e) {
      throw new IllegalStateException("writing to memory failed", e);
    }
    while (bytes.size() % 8 != 0) {
      bytes.write(' ');
    }
    return bytes.toByteArray();
  }

  /** In pieces, because the channel copies a heap buffer into a direct one of the same size. */
  private static void writeFully(FileChannel channel, ByteBuffer data) throws IOException {
    int end = data.limit();
    while (data.position() < end) {
      data.limit((int) Math.min(end, (long) data.position() + CHUNK));
      channel.write(data);
    }
  }

  static CheckpointFormatException damaged(Path file, String what) {
    return new CheckpointFormatException(
        file + ": " + what + "; the file is damaged or no SafeTensors file, fetch it again");
  }

  static CheckpointFormatException unreadable(Path file, IOException e) {
    return new CheckpointFormatException(
        e instanceof NoSuchFileException
            ? file + ": there is no such file; check the path"
            : "%s: cannot be read: %s; check the path and its permissions"
                .formatted(file, SafeTensorsHeader.oneLine(e.getMessage())),
        e);
  }
}

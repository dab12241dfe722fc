package io.peft4j.loaders.safetensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.UnsupportedModelException;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

class SafeTensorsTest {
  @TempDir Path folder;

  static List<Path> goldenFiles() throws IOException {
    try (Stream<Path> files = Files.walk(Path.of("src/test/resources/families"))) {
      return files.filter(f -> f.toString().endsWith(".safetensors")).sorted().toList();
    }
  }

  @ParameterizedTest
  @MethodSource("goldenFiles")
  void writtenAgainAFileHasTheBytesOfTheReferenceWriter(Path golden) throws IOException {
    SafeTensorsFile read = SafeTensors.read(golden);
    Path copy = folder.resolve("copy.safetensors");
    SafeTensors.write(copy, read.tensors(), read.metadata());
    assertThat(copy).hasSameBinaryContentAs(golden);
  }

  @ParameterizedTest
  @EnumSource(SafeTensorsType.class)
  void everyTypeKeepsItsBytes(SafeTensorsType type) {
    byte[] bytes = new byte[(int) type.dtype().bytes(24)];
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = (byte) (type == SafeTensorsType.BOOL ? i % 2 : 37 * i + 1);
    }
    Tensor tensor = Tensor.of(type.dtype(), new long[] {2, 3, 4}, ByteBuffer.wrap(bytes));
    Path file = folder.resolve("one.safetensors");
    SafeTensors.write(file, Map.of("x", tensor), Map.of());
    assertThat(SafeTensors.read(file).tensor("x").contentEquals(tensor)).isTrue();
  }

  @Test
  void typesThatTheFormatLacksAreRefused() {
    Tensor tensor = Tensor.of(DType.INT4, new long[] {2}, ByteBuffer.wrap(new byte[] {1}));
    Path file = folder.resolve("int4.safetensors");
    assertThatThrownBy(() -> SafeTensors.write(file, Map.of("packed", tensor), Map.of()))
        .isInstanceOf(UnsupportedModelException.class)
        .hasMessageContainingAll("packed", "int4", "BF16");
    assertThat(file).doesNotExist();
  }

  @Test
  void halfABytePerElementMustFillWholeBytes() {
    Tensor odd = Tensor.of(DType.FLOAT4E2M1, new long[] {3}, ByteBuffer.wrap(new byte[2]));
    assertThatThrownBy(() -> SafeTensors.write(folder.resolve("f4"), Map.of("odd", odd), Map.of()))
        .isInstanceOf(UnsupportedModelException.class)
        .hasMessageContaining("odd");
  }

  @Test
  void tensorsAreLaidOutWidestTypeFirstThenByName() throws IOException {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    tensors.put("half", Tensor.zeros(DType.FLOAT16, 3));
    tensors.put("b", Tensor.ofFloats(new long[] {1}, 2));
    tensors.put("flag", Tensor.zeros(DType.BOOL, 1));
    tensors.put("a", Tensor.ofFloats(new long[] {1}, 1));
    tensors.put("wide", Tensor.vector(7));
    Path file = folder.resolve("order.safetensors");
    SafeTensors.write(file, tensors, Map.of("format", "pt"));
    assertThat(SafeTensors.read(file).tensors().keySet())
        .containsExactly("wide", "a", "b", "half", "flag");
    byte[] bytes = Files.readAllBytes(file);
    int length = (int) ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong();
    assertThat(length % 8).isZero();
    assertThat(new String(bytes, 8, length, StandardCharsets.UTF_8))
        .startsWith(
            "{\"__metadata__\":{\"format\":\"pt\"},\"wide\":{\"dtype\":\"I64\",\"shape\":[1],"
                + "\"data_offsets\":[0,8]},\"a\":{\"dtype\":\"F32\",\"shape\":[1],"
                + "\"data_offsets\":[8,12]}");
  }

  @Test
  void metadataAndNamesOfAnyTextAreKept() {
    Map<String, String> metadata = Map.of("quote\"", "line\nend \u00e9 \ud83d\ude00", "empty", "");
    Map<String, Tensor> tensors = Map.of("n\u00e4me \"x\"\\", Tensor.scalar(1.5f));
    Path file = folder.resolve("text.safetensors");
    SafeTensors.write(file, tensors, metadata);
    SafeTensorsFile read = SafeTensors.read(file);
    assertThat(read.metadata()).isEqualTo(metadata);
    assertThat(read.tensor("n\u00e4me \"x\"\\").item()).isEqualTo(1.5);
  }

  @Test
  void emptyTensorsAndAFileWithoutTensorsAreSound() {
    Path none = folder.resolve("none.safetensors");
    SafeTensors.write(none, Map.of(), Map.of());
    assertThat(SafeTensors.read(none).tensors()).isEmpty();
    Path empty = folder.resolve("empty.safetensors");
    SafeTensors.write(
        empty, Map.of("a", Tensor.zeros(DType.FLOAT32, 0, 3), "b", Tensor.scalar(2f)), Map.of());
    assertThat(SafeTensors.read(empty).tensor("a").shape()).containsExactly(0, 3);
    assertThat(SafeTensors.read(empty).tensor("b").shape()).isEmpty();
  }

  @Test
  void dataAreViewsOfTheMappedFileAndCannotBeWritten() {
    ByteBuffer data = SafeTensors.read(goldenFile()).tensors().values().iterator().next().data();
    assertThat(data.isDirect()).isTrue();
    assertThat(data.isReadOnly()).isTrue();
  }

  private static Path goldenFile() {
    return Path.of("src/test/resources/families/bert/model.safetensors");
  }

  @Test
  void tensorsBeyondTwoGibibytesOfAFileAreRead() throws IOException {
    long size = 1_500_000_000;
    Path file = sparse("U8", size, size);
    try (RandomAccessFile writable = new RandomAccessFile(file.toFile(), "rw")) {
      writable.seek(writable.length() - 1);
      writable.write(42);
    }
    ByteBuffer data = SafeTensors.read(file).tensor("1").data();
    assertThat(data.remaining()).isEqualTo((int) size);
    assertThat(data.get((int) size - 1)).isEqualTo((byte) 42);
  }

  @Test
  void aTensorOverTwoGibibytesIsRefusedByName() throws IOException {
    Path file = sparse("U8", 3_000_000_000L);
    assertThatThrownBy(() -> SafeTensors.read(file))
        .isInstanceOf(UnsupportedModelException.class)
        .hasMessageContainingAll("'0'", "2 GiB");
  }

  /** A file with holes for data: it takes no space on the disk. */
  private Path sparse(String type, long... sizes) throws IOException {
    StringBuilder header = new StringBuilder("{");
    long position = 0;
    for (int i = 0; i < sizes.length; i++) {
      header.append(i == 0 ? "" : ",");
      header.append(
          "\"%d\":{\"dtype\":\"%s\",\"shape\":[%d],\"data_offsets\":[%d,%d]}"
              .formatted(i, type, sizes[i], position, position + sizes[i]));
      position += sizes[i];
    }
    byte[] text = header.append('}').toString().getBytes(StandardCharsets.UTF_8);
    Path file = folder.resolve("sparse.safetensors");
    ByteBuffer length = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
    try (RandomAccessFile writable = new RandomAccessFile(file.toFile(), "rw")) {
      writable.write(length.putLong(text.length).array());
      writable.write(text);
      writable.setLength(8 + text.length + position);
    }
    return file;
  }

  @Test
  void whatStoodAtTheTargetSurvivesAFailedWrite() throws IOException {
    Path file = folder.resolve("kept.safetensors");
    SafeTensors.write(file, Map.of("x", Tensor.scalar(1f)), Map.of());
    byte[] before = Files.readAllBytes(file);
    Tensor broken =
        Tensor.lazy(
            DType.FLOAT32,
            new long[] {4},
            () -> {
              throw new UnsupportedModelException("no data");
            });
    assertThatThrownBy(() -> SafeTensors.write(file, Map.of("x", broken), Map.of()))
        .hasMessage("no data");
    assertThat(file).hasBinaryContent(before);
    try (Stream<Path> left = Files.list(folder)) {
      assertThat(left).containsExactly(file);
    }
  }
}

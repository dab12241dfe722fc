package io.peft4j.loaders.safetensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.CheckpointFormatException;
import io.peft4j.UnsupportedModelException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class SafeTensorsDamageTest {
  @TempDir Path folder;

  private static final String SOUND =
      "{\"__metadata__\":{\"format\":\"pt\"},"
          + "\"a\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},"
          + "\"b\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[16,19]}}";

  private static byte[] bytes(byte[] header, long length, int dataSize) {
    return ByteBuffer.allocate(8 + header.length + dataSize)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putLong(length)
        .put(header)
        .array();
  }

  private Path file(byte[] content) throws IOException {
    return Files.write(folder.resolve("damaged.safetensors"), content);
  }

  private static String entry(String dtype, String shape, String offsets) {
    return "{\"x\":{\"dtype\":%s,\"shape\":%s,\"data_offsets\":%s}}"
        .formatted(dtype, shape, offsets);
  }

  static Stream<Arguments> headers() {
    String two =
        "{\"x\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]},"
            + "\"y\":{\"dtype\":\"U8\",\"shape\":[%d],\"data_offsets\":[%d,16]}}";
    return Stream.of(
        Arguments.of("not JSON", "not a JSON object"),
        Arguments.of("{\"x\" 1}", "not sound JSON at offset 13"),
        Arguments.of("{\"x\":", "JSON"),
        Arguments.of("[]", "not a JSON object"),
        Arguments.of(" {}", "not a JSON object"),
        Arguments.of("{} {}", "follows"),
        Arguments.of("{}", "16 bytes from offset 10 on belong to no tensor"),
        Arguments.of("{\"x\":1,\"x\":2}", "entry of tensor 'x'"),
        Arguments.of(
            "{\"x\":{\"dtype\":\"U8\",\"shape\":[16],\"data_offsets\":[0,16]},"
                + "\"x\":{\"dtype\":\"U8\",\"shape\":[16],\"data_offsets\":[0,16]}}",
            "Duplicate field 'x'"),
        Arguments.of("{\"__metadata__\":[]}", "__metadata__"),
        Arguments.of("{\"__metadata__\":{\"epoch\":3}}", "'epoch'"),
        Arguments.of("{\"__metadata__\":{\"a\":null}}", "'a'"),
        Arguments.of(entry("\"Q8\"", "[16]", "[0,16]"), "unknown dtype 'Q8'"),
        Arguments.of("{\"x\":{\"shape\":[16],\"data_offsets\":[0,16]}}", "no dtype"),
        Arguments.of("{\"x\":{\"dtype\":\"U8\",\"data_offsets\":[0,16]}}", "no shape"),
        Arguments.of("{\"x\":{\"dtype\":\"U8\",\"shape\":[16]}}", "no data_offsets"),
        Arguments.of(entry("\"U8\"", "16", "[0,16]"), "shape of tensor 'x' is not a list"),
        Arguments.of(entry("\"U8\"", "[-16]", "[0,16]"), "holds -16"),
        Arguments.of(entry("\"U8\"", "[1.5]", "[0,16]"), "holds 1.5"),
        Arguments.of(entry("\"U8\"", "[16.0]", "[0,16]"), "holds 16.0"),
        Arguments.of(entry("\"U8\"", "[\"16\"]", "[0,16]"), "holds 16"),
        Arguments.of(entry("\"U8\"", "[[16]]", "[0,16]"), "holds ["),
        Arguments.of(entry("\"U8\"", "[18446744073709551616]", "[0,16]"), "holds 184467"),
        Arguments.of(entry("\"F32\"", "[4294967296,4294967296]", "[0,16]"), "larger than any"),
        Arguments.of(entry("\"U8\"", "[16]", "[0]"), "two numbers"),
        Arguments.of(entry("\"U8\"", "[16]", "[0,16,16]"), "two numbers"),
        Arguments.of(entry("\"U8\"", "[16]", "[16,0]"), "end before they begin"),
        Arguments.of(entry("\"U8\"", "[17]", "[0,17]"), "ends 1 bytes behind"),
        Arguments.of(entry("\"F32\"", "[3]", "[0,16]"), "takes 12"),
        Arguments.of(entry("\"F4\"", "[31]", "[0,16]"), "takes 124 bits"),
        Arguments.of(entry("\"U8\"", "[15]", "[0,15]"), "1 bytes from offset"),
        Arguments.of(entry("\"U8\"", "[15]", "[1,16]"), "leaves a gap of 1 bytes"),
        Arguments.of(two.formatted(9, 7), "tensor 'y' at offset 121 overlaps"),
        Arguments.of(two.formatted(7, 9), "leaves a gap"));
  }

  @ParameterizedTest
  @MethodSource("headers")
  void aHeaderThatContradictsItselfIsRefused(String header, String message) throws IOException {
    byte[] text = header.getBytes(StandardCharsets.UTF_8);
    Path file = file(bytes(text, text.length, 16));
    assertThatThrownBy(() -> SafeTensors.read(file))
        .isInstanceOf(CheckpointFormatException.class)
        .hasMessageContainingAll("damaged.safetensors", message, "fetch it again")
        .message()
        .doesNotContain("\n");
  }

  @Test
  void aHeaderThatIsNotUtf8IsRefused() throws IOException {
    byte[] text = {'{', '"', (byte) 0xff, '"', ':', '1', '}'};
    Path file = file(bytes(text, text.length, 0));
    assertThatThrownBy(() -> SafeTensors.read(file))
        .isInstanceOf(CheckpointFormatException.class)
        .hasMessageContaining("not UTF-8");
  }

  @Test
  void aHeaderLengthThatCannotBeIsRefused() throws IOException {
    byte[] text = SOUND.getBytes(StandardCharsets.UTF_8);
    long[] lengths = {0, -1, Long.MIN_VALUE, Long.MAX_VALUE, 100_000_001, text.length + 20};
    for (long length : lengths) {
      Path file = file(bytes(text, length, 19));
      assertThatThrownBy(() -> SafeTensors.read(file))
          .isInstanceOf(CheckpointFormatException.class)
          .hasMessageContainingAll("header length", Long.toUnsignedString(length));
    }
  }

  @Test
  void deeplyNestedHeadersAreRefused() throws IOException {
    byte[] text = ("{\"x\":" + "[".repeat(100_000)).getBytes(StandardCharsets.UTF_8);
    Path file = file(bytes(text, text.length, 0));
    assertThatThrownBy(() -> SafeTensors.read(file)).isInstanceOf(CheckpointFormatException.class);
  }

  @Test
  void aFileCutAtAnyLengthIsRefused() throws IOException {
    byte[] text = SOUND.getBytes(StandardCharsets.UTF_8);
    byte[] whole = bytes(text, text.length, 19);
    assertThat(SafeTensors.read(file(whole)).tensors()).hasSize(2);
    for (int length = 0; length < whole.length; length++) {
      Path file = file(Arrays.copyOf(whole, length));
      assertThatThrownBy(() -> SafeTensors.read(file))
          .as("cut to %s bytes", length)
          .isInstanceOf(CheckpointFormatException.class);
    }
  }

  @Test
  void aChangedByteGivesNoOtherErrorThanItsOwn() throws IOException {
    byte[] text = SOUND.getBytes(StandardCharsets.UTF_8);
    byte[] whole = bytes(text, text.length, 19);
    Random random = new Random(7);
    int refused = 0;
    for (int i = 0; i < 5000; i++) {
      byte[] changed = whole.clone();
      changed[random.nextInt(8 + text.length)] = (byte) random.nextInt(256);
      try {
        SafeTensors.read(file(changed));
      } catch (CheckpointFormatException | UnsupportedModelException e) {
        refused++;
      }
    }
    assertThat(refused).isGreaterThan(2500);
  }

  @Test
  void aMissingFileAndAFolderAreNamed() {
    Path missing = folder.resolve("missing.safetensors");
    assertThatThrownBy(() -> SafeTensors.read(missing))
        .isInstanceOf(CheckpointFormatException.class)
        .hasMessageContainingAll("missing.safetensors", "no such file");
    assertThatThrownBy(() -> SafeTensors.read(folder))
        .isInstanceOf(CheckpointFormatException.class);
  }
}

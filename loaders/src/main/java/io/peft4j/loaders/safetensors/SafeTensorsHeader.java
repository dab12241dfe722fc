package io.peft4j.loaders.safetensors;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadFeature;
import io.peft4j.CheckpointFormatException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The checked header of a SafeTensors file.
 *
 * @param entries where each tensor lies, by name in the header's order
 * @param metadata the text of {@code __metadata__}
 */
record SafeTensorsHeader(Map<String, Entry> entries, Map<String, String> metadata) {
  static final String METADATA = "__metadata__";

  private static final JsonFactory JSON =
      JsonFactory.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build();

  /**
   * One tensor.
   *
   * @param begin its first byte, counted from the end of the header
   * @param end the byte behind its last
   */
  record Entry(SafeTensorsType type, long[] shape, long begin, long end) {}

  /**
   * Reads and checks a header.
   *
   * @param dataSize how many bytes follow the header in the file
   */
  static SafeTensorsHeader parse(Path file, byte[] header, long dataSize) {
    return new Reader(file, 8L + header.length, dataSize).read(header);
  }

  private static final class Reader {
    private final Path file;
    private final long dataStart;
    private final long dataSize;
    private final Map<String, Entry> entries = new LinkedHashMap<>();
    private final Map<String, String> metadata = new LinkedHashMap<>();

    Reader(Path file, long dataStart, long dataSize) {
      this.file = file;
      this.dataStart = dataStart;
      this.dataSize = dataSize;
    }

    SafeTensorsHeader read(byte[] header) {
      try (JsonParser json = JSON.createParser(text(header))) {
        if (header[0] != '{' || json.nextToken() != JsonToken.START_OBJECT) {
          throw damaged("the header at offset 8 is not a JSON object");
        }
        while (json.nextToken() != JsonToken.END_OBJECT) {
          String name = json.currentName();
          json.nextToken();
          if (name.equals(METADATA)) {
            readMetadata(json);
          } else {
            entries.put(name, readEntry(json, name));
          }
        }
        if (json.nextToken() != null) {
          throw damaged("something follows the JSON object of the header");
        }
      } catch (JsonProcessingException e) {
        throw damaged(
            "the header is not sound JSON at offset %d: %s"
                .formatted(8 + charOffset(e), oneLine(e.getOriginalMessage())));
      } catch (IOException e) {
        throw damaged("the header cannot be parsed: " + oneLine(e.getMessage()));
      }
      checkLayout();
      return new SafeTensorsHeader(entries, metadata);
    }

    private static long charOffset(JsonProcessingException e) {
      return e.getLocation() == null ? 0 : Math.max(0, e.getLocation().getCharOffset());
    }

    private String text(byte[] header) {
      try {
        return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(header)).toString();
      } catch (CharacterCodingException e) {
        throw damaged("the header at offset 8 is not UTF-8 text");
      }
    }

    private void readMetadata(JsonParser json) throws IOException {
      if (json.currentToken() != JsonToken.START_OBJECT) {
        throw damaged("__metadata__ in the header is not an object");
      }
      while (json.nextToken() != JsonToken.END_OBJECT) {
        String key = json.currentName();
        if (json.nextToken() != JsonToken.VALUE_STRING) {
          throw damaged("__metadata__ '%s' in the header is not a string".formatted(key));
        }
        metadata.put(key, json.getText());
      }
    }

    private Entry readEntry(JsonParser json, String name) throws IOException {
      if (json.currentToken() != JsonToken.START_OBJECT) {
        throw damaged("the entry of tensor '%s' is not an object".formatted(name));
      }
      String typeName = null;
      long[] shape = null;
      long[] offsets = null;
      while (json.nextToken() != JsonToken.END_OBJECT) {
        String field = json.currentName();
        json.nextToken();
        switch (field) {
          case "dtype" -> typeName = json.getValueAsString();
          case "shape" -> shape = sizes(json, name, field);
          case "data_offsets" -> offsets = sizes(json, name, field);
          default -> json.skipChildren();
        }
      }
      SafeTensorsType type = typeName == null ? null : SafeTensorsType.named(typeName);
      if (type == null) {
        throw damaged(
            "tensor '%s' has %s; known are %s"
                .formatted(
                    name,
                    typeName == null ? "no dtype" : "the unknown dtype '" + typeName + "'",
                    SafeTensorsType.names()));
      }
      if (shape == null) {
        throw damaged("tensor '%s' has no shape".formatted(name));
      }
      if (offsets == null || offsets.length != 2) {
        throw damaged("tensor '%s' has no data_offsets of two numbers".formatted(name));
      }
      Entry entry = new Entry(type, shape, offsets[0], offsets[1]);
      check(name, entry);
      return entry;
    }

    private long[] sizes(JsonParser json, String name, String field) throws IOException {
      if (json.currentToken() != JsonToken.START_ARRAY) {
        throw damaged("%s of tensor '%s' is not a list".formatted(field, name));
      }
      List<Long> values = new ArrayList<>();
      while (json.nextToken() != JsonToken.END_ARRAY) {
        boolean whole =
            json.currentToken() == JsonToken.VALUE_NUMBER_INT
                && json.getNumberType() != JsonParser.NumberType.BIG_INTEGER;
        if (!whole || json.getLongValue() < 0) {
          throw damaged(
              "%s of tensor '%s' holds %s, which is not a whole number from 0 up"
                  .formatted(field, name, oneLine(json.getText())));
        }
        values.add(json.getLongValue());
      }
      return values.stream().mapToLong(Long::longValue).toArray();
    }

    private void check(String name, Entry entry) {
      if (entry.begin() > entry.end()) {
        throw damaged(
            "data_offsets of tensor '%s' end before they begin: [%d, %d]"
                .formatted(name, entry.begin(), entry.end()));
      }
      if (entry.end() > dataSize) {
        throw damaged(
            "tensor '%s' at offset %d ends %d bytes behind the end of the file"
                .formatted(name, dataStart + entry.begin(), entry.end() - dataSize));
      }
      long bits = entry.type().dtype().bits();
      try {
        for (long size : entry.shape()) {
          bits = Math.multiplyExact(bits, size);
        }
      } catch (ArithmeticException e) {
        throw damaged(
            "the shape %s of tensor '%s' is larger than any file"
                .formatted(Arrays.toString(entry.shape()), name));
      }
      long bytes = entry.end() - entry.begin();
      if (bits % 8 != 0 || bits / 8 != bytes) {
        throw damaged(
            "tensor '%s' at offset %d has %d bytes, but %s %s takes %s"
                .formatted(
                    name,
                    dataStart + entry.begin(),
                    bytes,
                    entry.type(),
                    Arrays.toString(entry.shape()),
                    bits % 8 == 0 ? bits / 8 : bits + " bits"));
      }
    }

    /** The tensors must cover the data without overlap or gap. */
    private void checkLayout() {
      List<Map.Entry<String, Entry>> order = new ArrayList<>(entries.entrySet());
      order.sort(
          Comparator.comparingLong((Map.Entry<String, Entry> e) -> e.getValue().begin())
              .thenComparingLong(e -> e.getValue().end()));
      long position = 0;
      for (Map.Entry<String, Entry> next : order) {
        long begin = next.getValue().begin();
        if (begin != position) {
          throw damaged(
              "tensor '%s' at offset %d %s"
                  .formatted(
                      next.getKey(),
                      dataStart + begin,
                      begin < position
                          ? "overlaps the one before it"
                          : "leaves a gap of %d bytes before it".formatted(begin - position)));
        }
        position = next.getValue().end();
      }
      if (position != dataSize) {
        throw damaged(
            "%d bytes from offset %d on belong to no tensor"
                .formatted(dataSize - position, dataStart + position));
      }
    }

    private CheckpointFormatException damaged(String what) {
      return SafeTensors.damaged(file, what);
    }
  }

  static String oneLine(@Nullable String text) {
    String line = text == null ? "" : text.replaceAll("\\s+", " ");
    return line.length() > 200 ? line.substring(0, 200) + "..." : line;
  }
}

package io.peft4j.data;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.peft4j.PeftException;
import io.peft4j.adapter.NearestNames;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.commons.csv.CSVFormat;
import org.apache.commons.csv.CSVParser;
import org.apache.commons.csv.CSVRecord;
import org.jspecify.annotations.Nullable;

/**
 * Reads labelled text from TSV (a header row, no quoting), CSV (a header row, RFC 4180) and JSONL
 * (an object a line). All are UTF-8, with or without a byte order mark; blank lines are passed
 * over.
 */
public final class DataFiles {
  private static final ObjectMapper JSON =
      JsonMapper.builder()
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  private static final String BYTE_ORDER_MARK = "\uFEFF";

  /**
   * Which columns hold what.
   *
   * @param text the text, or the first of a pair
   * @param second the second text of a pair; null for single texts
   * @param label the class
   */
  public record Columns(String text, @Nullable String second, String label) {
    public static Columns standard() {
      return new Columns("text", null, "label");
    }

    private List<String> needed(boolean labelled) {
      List<String> needed = new ArrayList<>(List.of(text));
      if (second != null) {
        needed.add(second);
      }
      if (labelled) {
        needed.add(label);
      }
      return needed;
    }
  }

  private DataFiles() {}

  /**
   * Reads a file; the ending of its name says which kind it is.
   *
   * @param labelled whether the label column must be there
   * @throws PeftException if the file is missing, empty or damaged, or lacks a column; the message
   *     names the line
   */
  public static Dataset read(Path file, Columns columns, boolean labelled) {
    String name = file.getFileName().toString().toLowerCase(Locale.ROOT);
    if (!Files.isRegularFile(file)) {
      throw new PeftException("data file " + file + " does not exist; check the path");
    }
    List<Example> examples;
    try {
      String content = text(file);
      if (name.endsWith(".tsv")) {
        examples = tsv(file, content, columns, labelled);
      } else if (name.endsWith(".csv")) {
        examples = csv(file, content, columns, labelled);
      } else if (name.endsWith(".jsonl")) {
        examples = jsonl(file, content, columns, labelled);
      } else {
        throw new PeftException(
            "data file " + file + " is of unknown kind; its name must end in .tsv, .csv or .jsonl");
      }
    } catch (CharacterCodingException e) {
      throw new PeftException("data file " + file + " is not UTF-8; save it as UTF-8", e);
    } catch (IOException e) {
      throw new PeftException("data file " + file + " cannot be read: " + e.getMessage(), e);
    }
    if (examples.isEmpty()) {
      throw new PeftException("data file " + file + " holds no rows; give it at least one");
    }
    return new Dataset(file.toString(), examples);
  }

  /** The file's text without the byte order mark that spreadsheets put before it. */
  private static String text(Path file) throws IOException {
    String text = Files.readString(file, UTF_8);
    return text.startsWith(BYTE_ORDER_MARK) ? text.substring(1) : text;
  }

  private static List<Example> tsv(Path file, String content, Columns columns, boolean labelled) {
    List<Example> examples = new ArrayList<>();
    List<String> header = List.of();
    long number = 0;
    for (String line : content.lines().toList()) {
      number++;
      if (line.isBlank()) {
        continue;
      }
      List<String> cells = List.of(line.split("\t", -1));
      if (header.isEmpty()) {
        header = cells;
        checkHeader(file, header, columns, labelled);
      } else {
        examples.add(example(file, row(file, header, cells, number), columns, labelled, number));
      }
    }
    return examples;
  }

  private static List<Example> csv(Path file, String content, Columns columns, boolean labelled)
      throws IOException {
    CSVFormat format = CSVFormat.RFC4180.builder().setIgnoreEmptyLines(true).get();
    List<Example> examples = new ArrayList<>();
    List<String> header = List.of();
    try (CSVParser parser = CSVParser.parse(content, format)) {
      for (CSVRecord record : parser) {
        List<String> cells = record.toList();
        if (header.isEmpty()) {
          header = cells;
          checkHeader(file, header, columns, labelled);
        } else {
          long number = parser.getCurrentLineNumber();
          examples.add(example(file, row(file, header, cells, number), columns, labelled, number));
        }
      }
    } catch (UncheckedIOException e) { // what the parser throws while it is iterated over
      throw new PeftException(
          "data file %s has a quoted field that does not end before a comma or a line end; "
                  .formatted(file)
              + "check the quotes from line %d on".formatted(lineBehind(examples)),
          e);
    }
    return examples;
  }

  /** The line after the last row that was read. */
  private static long lineBehind(List<Example> examples) {
    return examples.isEmpty() ? 1 : examples.get(examples.size() - 1).line() + 1;
  }

  private static Map<String, String> row(
      Path file, List<String> header, List<String> cells, long number) {
    if (cells.size() != header.size()) {
      throw new PeftException(
          "data file %s, line %d: %d columns where the header has %d"
              .formatted(file, number, cells.size(), header.size()));
    }
    Map<String, String> row = new LinkedHashMap<>();
    for (int i = 0; i < header.size(); i++) {
      row.put(header.get(i), cells.get(i));
    }
    return row;
  }

  private static List<Example> jsonl(Path file, String content, Columns columns, boolean labelled) {
    List<Example> examples = new ArrayList<>();
    long number = 0;
    for (String line : content.lines().toList()) {
      number++;
      if (line.isBlank()) {
        continue;
      }
      Map<String, String> row = jsonRow(file, line, columns, labelled, number);
      checkColumns(file, List.copyOf(row.keySet()), columns, false);
      examples.add(example(file, row, columns, labelled, number));
    }
    return examples;
  }

  private static Map<String, String> jsonRow(
      Path file, String line, Columns columns, boolean labelled, long number) {
    JsonNode object;
    try {
      object = JSON.readTree(line);
    } catch (JsonProcessingException e) {
      throw new PeftException(
          "data file %s, line %d: no valid JSON: %s".formatted(file, number, reason(e)), e);
    }
    if (!object.isObject()) {
      throw new PeftException("data file %s, line %d: no JSON object".formatted(file, number));
    }
    Map<String, String> row = new LinkedHashMap<>();
    for (Map.Entry<String, JsonNode> field : object.properties()) {
      JsonNode value = field.getValue();
      boolean noLabel = value.isNull() && field.getKey().equals(columns.label());
      boolean text = value.isValueNode() && !value.isNull();
      if (!text && !noLabel && columns.needed(labelled).contains(field.getKey())) {
        throw new PeftException(
            "data file %s, line %d: '%s' is %s; give it a text"
                .formatted(
                    file, number, field.getKey(), value.isNull() ? "null" : "a list or an object"));
      }
      row.put(field.getKey(), noLabel ? "" : value.asText());
    }
    return row;
  }

  /** What Jackson says, without where in its own source it looked. */
  private static String reason(JsonProcessingException e) {
    return e.getOriginalMessage().replaceAll("\\s*\\(start marker at .*", "");
  }

  private static void checkHeader(
      Path file, List<String> header, Columns columns, boolean labelled) {
    checkColumns(file, header, columns, labelled);
    for (String column : columns.needed(labelled)) {
      if (header.indexOf(column) != header.lastIndexOf(column)) {
        throw new PeftException(
            "data file %s has two columns '%s'; rename or remove one".formatted(file, column));
      }
    }
  }

  private static void checkColumns(
      Path file, List<String> header, Columns columns, boolean labelled) {
    for (String column : columns.needed(labelled)) {
      if (!header.contains(column)) {
        throw new PeftException(
            "data file %s has no column '%s'; the nearest are %s"
                .formatted(file, column, NearestNames.of(column, header)));
      }
    }
  }

  private static Example example(
      Path file, Map<String, String> row, Columns columns, boolean labelled, long line) {
    String label = row.get(columns.label());
    if (labelled && (label == null || label.isBlank())) {
      throw new PeftException(
          "data file %s, line %d: the row has no label; give it one or remove it"
              .formatted(file, line));
    }
    String second = columns.second() == null ? null : row.getOrDefault(columns.second(), "");
    return new Example(row.getOrDefault(columns.text(), ""), second, label, line);
  }
}

package io.peft4j.data;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.peft4j.PeftException;
import io.peft4j.adapter.NearestNames;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.MalformedInputException;
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
 * (an object a line).
 */
public final class DataFiles {
  private static final ObjectMapper JSON = new ObjectMapper();

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
      if (name.endsWith(".tsv")) {
        examples = tsv(file, columns, labelled);
      } else if (name.endsWith(".csv")) {
        examples = csv(file, columns, labelled);
      } else if (name.endsWith(".jsonl")) {
        examples = jsonl(file, columns, labelled);
      } else {
        throw new PeftException(
            "data file " + file + " is of unknown kind; its name must end in .tsv, .csv or .jsonl");
      }
    } catch (MalformedInputException e) {
      throw new PeftException("data file " + file + " is not UTF-8; save it as UTF-8", e);
    } catch (IOException | UncheckedIOException e) {
      throw new PeftException("data file " + file + " cannot be read: " + e.getMessage(), e);
    }
    if (examples.isEmpty()) {
      throw new PeftException("data file " + file + " holds no rows; give it at least one");
    }
    return new Dataset(file.toString(), examples);
  }

  private static List<Example> tsv(Path file, Columns columns, boolean labelled)
      throws IOException {
    List<Example> examples = new ArrayList<>();
    List<String> header = List.of();
    long number = 0;
    for (String line : Files.readAllLines(file, UTF_8)) {
      number++;
      List<String> cells = List.of(line.split("\t", -1));
      if (number == 1) {
        header = cells;
        checkColumns(file, header, columns, labelled);
      } else if (!line.isBlank()) {
        if (cells.size() != header.size()) {
          throw new PeftException(
              "data file %s, line %d: %d columns where the header has %d"
                  .formatted(file, number, cells.size(), header.size()));
        }
        Map<String, String> row = new LinkedHashMap<>();
        for (int i = 0; i < header.size(); i++) {
          row.put(header.get(i), cells.get(i));
        }
        examples.add(example(file, row, columns, labelled, number));
      }
    }
    return examples;
  }

  private static List<Example> csv(Path file, Columns columns, boolean labelled)
      throws IOException {
    CSVFormat format = CSVFormat.RFC4180.builder().setHeader().setSkipHeaderRecord(true).get();
    List<Example> examples = new ArrayList<>();
    try (CSVParser parser = CSVParser.parse(file, UTF_8, format)) {
      if (!parser.getHeaderNames().isEmpty()) {
        checkColumns(file, parser.getHeaderNames(), columns, labelled);
      }
      for (CSVRecord record : parser) {
        if (!record.isConsistent()) {
          throw new PeftException(
              "data file %s, line %d: %d columns where the header has %d"
                  .formatted(
                      file,
                      parser.getCurrentLineNumber(),
                      record.size(),
                      parser.getHeaderNames().size()));
        }
        examples.add(
            example(file, record.toMap(), columns, labelled, parser.getCurrentLineNumber()));
      }
    } catch (IllegalArgumentException e) {
      throw new PeftException("data file " + file + ", header: " + e.getMessage(), e);
    }
    return examples;
  }

  private static List<Example> jsonl(Path file, Columns columns, boolean labelled)
      throws IOException {
    List<Example> examples = new ArrayList<>();
    long number = 0;
    for (String line : Files.readAllLines(file, UTF_8)) {
      number++;
      if (line.isBlank()) {
        continue;
      }
      Map<String, String> row = new LinkedHashMap<>();
      try {
        JsonNode object = JSON.readTree(line);
        if (!object.isObject()) {
          throw new PeftException("data file %s, line %d: no JSON object".formatted(file, number));
        }
        object
            .properties()
            .forEach(e -> row.put(e.getKey(), e.getValue().isNull() ? "" : e.getValue().asText()));
      } catch (JsonProcessingException e) {
        throw new PeftException(
            "data file %s, line %d: no valid JSON: %s"
                .formatted(file, number, e.getOriginalMessage()),
            e);
      }
      checkColumns(file, List.copyOf(row.keySet()), columns, false);
      examples.add(example(file, row, columns, labelled, number));
    }
    return examples;
  }

  private static void checkColumns(
      Path file, List<String> header, Columns columns, boolean labelled) {
    List<String> needed = new ArrayList<>(List.of(columns.text()));
    if (columns.second() != null) {
      needed.add(columns.second());
    }
    if (labelled) {
      needed.add(columns.label());
    }
    for (String column : needed) {
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

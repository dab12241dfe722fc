package io.peft4j.data;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.PeftException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Files as editors and spreadsheets write them; in the sources here | stands for a line end. */
class DataFilesTest {
  private static final String TSV =
      """
      text\tlabel
      It is late.\tdelay
      Take it back.\trefund
      """;
  private static final String CSV =
      """
      text,label\r
      It is late.,delay\r
      Take it back.,refund\r
      """;
  private static final String JSONL =
      """
      {"text": "It is late.", "label": "delay"}
      {"label": "refund", "text": "Take it back."}
      """;

  @TempDir Path folder;

  @Test
  void theKindsOfFilesHoldTheSameRows() throws IOException {
    List<Example> rows =
        List.of(
            new Example("It is late.", null, "delay", 2),
            new Example("Take it back.", null, "refund", 3));
    assertThat(read("a.tsv", TSV)).isEqualTo(rows);
    assertThat(read("a.csv", CSV)).isEqualTo(rows);
    assertThat(read("a.JSONL", "\n" + JSONL)).isEqualTo(rows);
  }

  @ParameterizedTest
  @ValueSource(strings = {"tsv", "csv", "jsonl"})
  void byteOrderMarksLineEndsAndBlankLinesAreNoContent(String kind) throws IOException {
    String content = kind.equals("tsv") ? TSV : kind.equals("csv") ? CSV : JSONL;
    List<Example> rows = read("plain." + kind, content);
    String odd =
        "\uFEFF" + content.replace("\r\n", "\n").strip().replace("\n", "\r\n") + "\r\n\r\n";
    assertThat(read("odd." + kind, odd)).isEqualTo(rows);
  }

  @Test
  void quotesAreThoseOfCsvAlone() throws IOException {
    String csv = "label,text\nrefund,\"a \"\"b\"\",\nc\"\ndelay,5\" late\n";
    assertThat(read("q.csv", csv))
        .extracting(Example::text)
        .containsExactly("a \"b\",\nc", "5\" late");
    assertThat(read("q.tsv", "label\ttext\nrefund\t\"a \"\"b\"\"\n"))
        .extracting(Example::text)
        .containsExactly("\"a \"\"b\"\"");
  }

  @Test
  void numbersAndTruthValuesOfJsonAreTexts() throws IOException {
    assertThat(read("n.jsonl", "{\"text\": 12, \"label\": true}"))
        .containsExactly(new Example("12", null, "true", 1));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      quoteCharacter = '`',
      value = {
        "tsv; ``; holds no rows",
        "tsv; ||; holds no rows",
        "csv; |; holds no rows",
        "csv; text,label|; holds no rows",
        "csv; text,label,label|a,b,c; has two columns 'label'",
        "csv; text,label|a,b|c; line 3: 1 columns where the header has 2",
        "csv; text,label|a,b|c,; line 3: the row has no label",
        "csv; text,label|a,b|\"c,d; check the quotes from line 3 on",
        "csv; text,label|\"a\"b,c; check the quotes from line 1 on",
        "csv; Text,label|a,b; no column 'text'",
        "jsonl; {\"text\": \"a\"}; line 1: the row has no label",
        "jsonl; {\"text\": \"a\", \"label\": null}; line 1: the row has no label",
        "jsonl; {\"text\": \"a\", \"label\": [\"b\"]}; line 1: 'label' is a list or an object",
        "jsonl; {\"text\": null, \"label\": \"b\"}; line 1: 'text' is null",
        "jsonl; {\"text\": {\"a\": 1}, \"label\": \"b\"}; line 1: 'text' is a list or an object",
        "jsonl; {\"text\": \"a\", \"label\": \"b\", \"label\": \"c\"}; Duplicate field 'label'",
        "jsonl; {\"text\": \"a\", \"label\": \"b\"} {}; line 1: no valid JSON: Trailing token",
        "jsonl; {\"text\": \"a\", \"label\": \"b\"; expected close marker for Object",
        "jsonl; [1]; line 1: no JSON object",
        "txt; text; must end in .tsv, .csv or .jsonl",
      })
  void whatIsWrongIsSaidInOneLine(String kind, String content, String message) {
    assertThatThrownBy(() -> read("bad." + kind, content.replace('|', '\n')))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("bad." + kind)
        .hasMessageContaining(message)
        .message()
        .doesNotContain("\n", "java", "org.apache", "Source");
  }

  @Test
  void twoColumnsOfOneNameAreNotChosenFrom() {
    assertThatThrownBy(() -> read("two.tsv", "text\ttext\tlabel\na\tb\tc\n"))
        .hasMessageContaining("has two columns 'text'");
  }

  @Test
  void labelsAreNotLookedAtWhereNoneAreNeeded() throws IOException {
    Path file = Files.writeString(folder.resolve("p.jsonl"), "{\"text\": \"a\", \"label\": [1]}");
    assertThat(DataFiles.read(file, DataFiles.Columns.standard(), false).size()).isEqualTo(1);
  }

  @ParameterizedTest
  @ValueSource(strings = {"tsv", "csv", "jsonl"})
  void otherEncodingsAreRefusedRatherThanReadWrong(String kind) throws IOException {
    String content = kind.equals("tsv") ? TSV : kind.equals("csv") ? CSV : JSONL;
    Path file = folder.resolve("latin." + kind);
    Files.write(file, content.replace("late", "verspätet").getBytes(ISO_8859_1));
    assertThatThrownBy(() -> DataFiles.read(file, DataFiles.Columns.standard(), true))
        .hasMessageContaining("is not UTF-8; save it as UTF-8");
  }

  private List<Example> read(String name, String content) throws IOException {
    Path file = Files.write(folder.resolve(name), content.getBytes(UTF_8));
    return DataFiles.read(file, DataFiles.Columns.standard(), true).examples();
  }
}

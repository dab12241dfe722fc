package io.peft4j.loaders.tokenizers;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.CheckpointFormatException;
import io.peft4j.RecipeException;
import io.peft4j.data.TextTokenizer;
import io.peft4j.data.TextTokenizer.Tokens;
import io.peft4j.data.TextTokenizerFactory;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;
import java.util.ServiceLoader;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class HuggingFaceTokenizerTest {
  @TempDir static Path folder;

  private static Path file;

  @BeforeAll
  static void copyTokenizer() throws IOException {
    file = folder.resolve("tokenizer.json");
    try (InputStream json =
        HuggingFaceTokenizerTest.class.getResourceAsStream("/all-minilm-l6-v2-tokenizer.json")) {
      Files.copy(Objects.requireNonNull(json), file);
    }
  }

  private static TextTokenizer open(int maxLength) {
    return new HuggingFaceTokenizerFactory().open(file, maxLength);
  }

  @Test
  void aTextGetsItsSpecialTokensAndNoPadding() {
    try (TextTokenizer tokenizer = open(256)) {
      Tokens tokens = tokenizer.encode("Hello, world!", null);
      assertThat(tokens.ids()).containsExactly(101, 7592, 1010, 2088, 999, 102);
      assertThat(tokens.typeIds()).containsOnly(0).hasSize(6);
    }
  }

  @Test
  void aPairGetsTwoSegments() {
    try (TextTokenizer tokenizer = open(256)) {
      Tokens tokens = tokenizer.encode("hello", "world");
      assertThat(tokens.ids()).containsExactly(101, 7592, 102, 2088, 102);
      assertThat(tokens.typeIds()).containsExactly(0, 0, 0, 1, 1);
    }
  }

  @Test
  void aLongTextIsCutAtTheGivenLengthWhateverTheFileSays() {
    String text = "hello ".repeat(2000);
    for (int maxLength : new int[] {3, 8, 128, 129, 512, 1000}) {
      try (TextTokenizer tokenizer = open(maxLength)) {
        long[] ids = tokenizer.encode(text, null).ids();
        assertThat(ids).hasSize(maxLength).startsWith(101, 7592).endsWith(7592, 102);
      }
    }
  }

  @Test
  void aLongPairIsCutWhereItIsLonger() {
    try (TextTokenizer tokenizer = open(10)) {
      Tokens tokens = tokenizer.encode("hello ".repeat(50), "world");
      assertThat(tokens.ids()).hasSize(10).endsWith(102, 2088, 102);
    }
  }

  @Test
  void anEmptyTextIsJustItsSpecialTokens() {
    try (TextTokenizer tokenizer = open(16)) {
      assertThat(tokenizer.encode("", null).ids()).containsExactly(101, 102);
    }
  }

  @Test
  void textsOfAnyUnicodeAreTaken() {
    try (TextTokenizer tokenizer = open(16)) {
      assertThat(tokenizer.encode("\u00fc \ud83d\ude00 \u4e2d\u6587 a\u0000b", null).ids())
          .startsWith(101, 1057)
          .endsWith(102);
    }
  }

  @Test
  void theSmallestLengthsAreCutToOrRefusedByName() {
    for (int maxLength : new int[] {1, 2}) {
      try (TextTokenizer tokenizer = open(maxLength)) {
        System.out.println(java.util.Arrays.toString(tokenizer.encode("hello world", null).ids()));
        System.out.println(java.util.Arrays.toString(tokenizer.encode("hello world", "a b").ids()));
      }
    }
    assertThatThrownBy(() -> open(0))
        .isInstanceOf(RecipeException.class)
        .hasMessageContaining("maxLength");
  }

  @Test
  void thePadIdIsThatOfThePaddingSection() throws IOException {
    Path other = folder.resolve("padding-tokenizer.json");
    String json = Files.readString(file);
    String section = "\"pad_id\": 0";
    assertThat(json.contains(section)).isTrue();
    Files.writeString(other, json.replace(section, "\"pad_id\": 7"));
    try (TextTokenizer tokenizer = new HuggingFaceTokenizerFactory().open(other, 16)) {
      assertThat(tokenizer.padId()).isEqualTo(7);
    }
  }

  @Test
  void thePadIdIsElseThatOfThePadToken() throws IOException {
    String json =
        "{\"added_tokens\":[{\"id\":5,\"content\":\"<s>\"},{\"id\":9,\"content\":\"<pad>\","
            + "\"special\":true}],\"padding\":null,\"model\":{\"vocab\":{\"x\":[1]}}}";
    TokenizerFile facts = TokenizerFile.parse(file, json.getBytes(StandardCharsets.UTF_8));
    assertThat(facts.padId()).isEqualTo(9);
  }

  @Test
  void aDamagedFileIsRefused() throws IOException {
    String whole = Files.readString(file);
    for (int length : new int[] {0, 1, 100, 5000, whole.length() / 2, whole.length() - 1}) {
      Path cut =
          Files.writeString(folder.resolve("cut-tokenizer.json"), whole.substring(0, length));
      assertThatThrownBy(() -> new HuggingFaceTokenizerFactory().open(cut, 16))
          .isInstanceOf(CheckpointFormatException.class)
          .hasMessageContaining("cut-tokenizer.json");
    }
    for (String json : new String[] {"{}", "[]", "{\"model\":{\"type\":\"Unheard\"}}"}) {
      Path odd = Files.writeString(folder.resolve("odd-tokenizer.json"), json);
      assertThatThrownBy(() -> new HuggingFaceTokenizerFactory().open(odd, 16))
          .isInstanceOf(CheckpointFormatException.class)
          .hasMessageContaining("odd-tokenizer.json")
          .message()
          .doesNotContain("\n");
    }
    assertThatThrownBy(() -> new HuggingFaceTokenizerFactory().open(folder.resolve("none"), 16))
        .isInstanceOf(CheckpointFormatException.class)
        .hasMessageContaining("no such file");
  }

  @Test
  void theServiceIsFoundAndTakesTokenizerFiles() {
    assertThat(ServiceLoader.load(TextTokenizerFactory.class))
        .anyMatch(f -> f instanceof HuggingFaceTokenizerFactory && f.accepts(file));
    assertThat(new HuggingFaceTokenizerFactory().accepts(Path.of("vocab.txt"))).isFalse();
  }
}

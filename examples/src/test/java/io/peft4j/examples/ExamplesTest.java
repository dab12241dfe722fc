package io.peft4j.examples;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.peft4j.Checkpoints;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Every example runs and does what it says. */
class ExamplesTest {
  private static final String ROWS =
      """
      text\tlabel
      the soup was cold and far too salty\tbad
      we waited an hour and nobody came\tbad
      the room smelled of smoke\tbad
      dirty plates, rude staff, never again\tbad
      my steak was burnt on both sides\tbad
      the music was so loud that we left\tbad
      the fish was fresh and the view lovely\tgood
      friendly people and a clean, bright room\tgood
      best pancakes I have had in years\tgood
      we were served at once and with a smile\tgood
      everything tasted home-made and warm\tgood
      a quiet garden and excellent coffee\tgood
      """;

  @TempDir Path folder;

  @Test
  void aTextClassifierIsTrainedMergedAndWritten() throws IOException {
    copy("all-minilm-l6-v2.onnx", "model.onnx");
    copy("all-minilm-l6-v2-tokenizer.json", "tokenizer.json");
    Path rows = Files.writeString(folder.resolve("rows.tsv"), ROWS);
    Path output = folder.resolve("out");
    String printed =
        printedBy(
            () ->
                TextClassifier.main(
                    new String[] {
                      folder.resolve("model.onnx").toString(),
                      rows.toString(),
                      rows.toString(),
                      output.toString()
                    }));
    assertThat(printed).contains("accuracy=1.0");
    assertThat(output.resolve("adapter/adapter_config.json")).exists();
    assertThat(Checkpoints.open(output.resolve("model.onnx")).hasLogits()).isTrue();
    assertThat(Checkpoints.open(output.resolve("model.onnx")).checkpoint().labels())
        .containsExactly("bad", "good");
  }

  @Test
  void aNetworkOfLinearLayersIsTrainedAdaptedAndMerged() {
    String printed = printedBy(() -> DigitsNetwork.main(new String[0]));
    Matcher accuracies = Pattern.compile("accuracy=([0-9.]+)").matcher(printed);
    for (int i = 0; i < 2; i++) {
      assertThat(accuracies.find()).isTrue();
      assertThat(Double.parseDouble(accuracies.group(1))).isGreaterThan(0.9);
    }
  }

  private void copy(String resource, String file) throws IOException {
    try (InputStream input = ExamplesTest.class.getResourceAsStream("/" + resource)) {
      Files.copy(input, folder.resolve(file));
    }
  }

  private static String printedBy(Runnable example) {
    PrintStream before = System.out;
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    System.setOut(new PrintStream(bytes, true, UTF_8));
    try {
      example.run();
    } finally {
      System.setOut(before);
    }
    return bytes.toString(UTF_8);
  }
}

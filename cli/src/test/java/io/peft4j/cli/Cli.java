package io.peft4j.cli;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.ToIntBiFunction;
import picocli.CommandLine;

/**
 * One run of the command.
 *
 * @param out what it printed
 * @param err what it told of itself and of errors
 */
record Cli(int exit, String out, String err) {
  static Cli run(Object... arguments) {
    String[] texts = Arrays.stream(arguments).map(String::valueOf).toArray(String[]::new);
    return captured((out, err) -> Main.run(texts, out, err));
  }

  /** With further commands. */
  static Cli run(Consumer<CommandLine> change, String[] arguments) {
    return captured(
        (out, err) -> {
          CommandLine line = Main.line(out, err);
          change.accept(line);
          return Main.run(line, arguments);
        });
  }

  private static Cli captured(ToIntBiFunction<PrintStream, PrintStream> run) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    ByteArrayOutputStream err = new ByteArrayOutputStream();
    int exit = run.applyAsInt(new PrintStream(out, true, UTF_8), new PrintStream(err, true, UTF_8));
    return new Cli(exit, out.toString(UTF_8), err.toString(UTF_8));
  }

  /** The last line of the errors. */
  String lastLine() {
    List<String> lines = err.lines().toList();
    return lines.isEmpty() ? "" : lines.get(lines.size() - 1);
  }

  /** One line of error for people, and no output. */
  void assertFailed(int code) {
    assertThat(exit).as(err).isEqualTo(code);
    assertThat(lastLine()).startsWith("peft4j: error: ");
    assertThat(err.lines()).hasSize(1);
    assertThat(lastLine()).doesNotContain("Exception").doesNotContain("io.peft4j");
    assertThat(out).isEmpty();
  }
}

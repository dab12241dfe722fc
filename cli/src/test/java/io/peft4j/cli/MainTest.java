package io.peft4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import ai.djl.engine.EngineException;
import com.google.common.collect.ImmutableList;
import io.peft4j.PeftException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.NoSuchFileException;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;
import picocli.CommandLine.Command;

/** What every command has in common. */
class MainTest {
  /** A command that fails as it is told. */
  @Command(name = "fail")
  private record Fail(Throwable failure) implements Callable<Integer> {
    @Override
    public Integer call() throws Exception {
      if (failure instanceof Error error) {
        throw error;
      }
      throw (Exception) failure;
    }
  }

  static Stream<Arguments> failures() {
    return Stream.of(
        Arguments.of(
            new PeftException("the cup\nis broken; glue it"), "the cup is broken; glue it"),
        Arguments.of(new OutOfMemoryError("Java heap space"), "memory ran out"),
        Arguments.of(new StackOverflowError(), "unexpected failure: no reason given"),
        Arguments.of(new NoClassDefFoundError("ai/djl/Model"), "a native library cannot be loaded"),
        Arguments.of(new UnsatisfiedLinkError("no torch"), "a native library cannot be loaded"),
        Arguments.of(new IllegalStateException("two heads"), "unexpected failure: two heads"),
        Arguments.of(
            new NullPointerException("Cannot invoke \"io.peft4j.graph.Graph.edit()\""),
            "unexpected failure: no reason given"),
        Arguments.of(
            new EngineException("out of range\n  at frame 1\n  at frame 2"),
            "the engine failed: out of range"),
        Arguments.of(new IOException("No space left on device"), "No space left on device"),
        Arguments.of(new IOException(), "no reason given"),
        Arguments.of(new NoSuchFileException("a.txt"), "a.txt does not exist; check the path"),
        Arguments.of(
            new FileAlreadyExistsException("a.txt"), "a.txt cannot be read or written; check"),
        Arguments.of(
            new UncheckedIOException(new NoSuchFileException("b.txt")), "b.txt does not exist"));
  }

  @ParameterizedTest
  @MethodSource("failures")
  void anyFailureIsOneLineAndCode1(Throwable failure, String message) {
    Cli cli = fail(failure);
    assertThat(cli.exit()).isEqualTo(1);
    assertThat(cli.err().lines()).hasSize(1);
    assertThat(cli.err()).startsWith("peft4j: error: ").contains(message);
    assertThat(cli.err()).doesNotContain("Exception").doesNotContain("io.peft4j");
    assertThat(cli.out()).isEmpty();
  }

  @ParameterizedTest
  @MethodSource("failures")
  void theTraceOfAnyFailureComesBeforeTheLine(Throwable failure, String message) {
    Cli cli = fail(failure, "--stacktrace");
    assertThat(cli.exit()).isEqualTo(1);
    assertThat(cli.err()).contains(failure.getClass().getName()).contains("\tat ");
    assertThat(cli.lastLine()).startsWith("peft4j: error: ").contains(message);
    assertThat(cli.err().lines().filter(l -> l.startsWith("peft4j: error: "))).hasSize(1);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "--stacktrace inspect absent",
        "inspect --stacktrace absent",
        "inspect absent --stacktrace",
        "inspect --bogus absent --stacktrace",
        "--stacktrace run",
      })
  void aStackTraceCanBeAskedForAnywhere(String arguments) {
    Cli cli = Cli.run((Object[]) arguments.split(" "));
    assertThat(cli.err()).contains("\tat ");
    assertThat(cli.lastLine()).startsWith("peft4j: error: ");
    Cli without = Cli.run((Object[]) arguments.replace("--stacktrace", "").strip().split(" +"));
    assertThat(without.exit()).isEqualTo(cli.exit());
    assertThat(without.err()).isEqualTo(cli.lastLine() + System.lineSeparator());
  }

  @Test
  void versionAndHelpAreNoErrors() {
    Cli version = Cli.run("--version");
    assertThat(version.exit()).isZero();
    assertThat(version.out()).startsWith("peft4j ");
    assertThat(version.err()).isEmpty();
    for (String name : commands()) {
      Cli help = Cli.run((Object[]) (name + " --help").split(" "));
      assertThat(help.exit()).isZero();
      assertThat(help.out()).contains("peft4j " + name).contains("--json").contains("--stacktrace");
      assertThat(help.err()).isEmpty();
    }
  }

  /** Every command that does something, with the commands that it is under. */
  private static ImmutableList<String> commands() {
    ImmutableList.Builder<String> names = ImmutableList.builder();
    Main.line(System.out, System.err)
        .getSubcommands()
        .forEach(
            (name, command) -> {
              Set<String> more = command.getSubcommands().keySet();
              more.forEach(sub -> names.add(name + " " + sub));
              if (more.isEmpty()) {
                names.add(name);
              }
            });
    return names.build();
  }

  private static Cli fail(Throwable failure, String... more) {
    String[] arguments = Stream.concat(Stream.of("fail"), Stream.of(more)).toArray(String[]::new);
    return Cli.run(line -> line.addSubcommand(new CommandLine(new Fail(failure))), arguments);
  }
}

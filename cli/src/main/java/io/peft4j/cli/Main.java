package io.peft4j.cli;

import io.peft4j.Version;
import io.peft4j.cli.quickstart.QuickstartCommand;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.Spec;

/** The {@code peft4j} command. */
@Command(
    name = "peft4j",
    description = "Parameter-efficient fine-tuning for the JVM.",
    mixinStandardHelpOptions = true,
    versionProvider = Main.VersionText.class,
    subcommands = {
      QuickstartCommand.class,
      InspectCommand.class,
      RunCommand.class,
      TrainCommand.class,
      EvaluateCommand.class,
      PredictCommand.class,
      MergeCommand.class,
      ExportCommand.class
    })
public final class Main implements Runnable {
  /** For {@code --version}. */
  static final class VersionText implements CommandLine.IVersionProvider {
    @Override
    public String[] getVersion() {
      return new String[] {"peft4j " + Version.text()};
    }
  }

  private static final int FAILED = 1;
  private static final int WRONG_USAGE = 2;

  @Spec private CommandSpec spec;

  @Option(
      names = "--stacktrace",
      scope = ScopeType.INHERIT,
      description = "With an error, also print where in the program it arose.")
  private boolean stacktrace;

  private Main(CommandSpec spec) {
    this.spec = spec;
  }

  public static void main(String[] args) {
    System.exit(run(args, System.out, System.err));
  }

  /**
   * Runs the command.
   *
   * @return 0 done, 1 the work failed, 2 wrong usage
   */
  public static int run(String[] args, PrintStream out, PrintStream err) {
    Main main = new Main(CommandSpec.create());
    CommandLine line = new CommandLine(main);
    line.setOut(new PrintWriter(out, true, StandardCharsets.UTF_8));
    line.setErr(new PrintWriter(err, true, StandardCharsets.UTF_8));
    line.setCaseInsensitiveEnumValuesAllowed(true);
    line.setParameterExceptionHandler((e, given) -> main.wrongUsage(e));
    line.setExecutionExceptionHandler((e, command, parsed) -> main.failed(command, e));
    return line.execute(args);
  }

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "no command was given");
  }

  private int wrongUsage(ParameterException e) {
    CommandLine command = e.getCommandLine();
    String message = Errors.oneLine(String.valueOf(e.getMessage()));
    command
        .getErr()
        .println(
            "peft4j: error: %s; see '%s --help'"
                .formatted(message, command.getCommandSpec().qualifiedName()));
    return WRONG_USAGE;
  }

  private int failed(CommandLine command, Exception e) {
    if (e instanceof ParameterException wrong) {
      return wrongUsage(wrong);
    }
    if (stacktrace) {
      e.printStackTrace(command.getErr());
    }
    command.getErr().println("peft4j: error: " + Errors.describe(e));
    return FAILED;
  }
}

package io.peft4j.cli;

import io.peft4j.Version;
import io.peft4j.cli.adapter.AdapterCommand;
import io.peft4j.cli.quickstart.QuickstartCommand;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
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
      AdapterCommand.class,
      PruneCommand.class,
      QuantizeCommand.class,
      ExportCommand.class,
      CompareCommand.class,
      SparsifyCommand.class,
      FactorizeCommand.class,
      DistillCommand.class,
      CompactCommand.class
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
  private static final String STACKTRACE = "--stacktrace";

  @Spec private CommandSpec spec = CommandSpec.create();

  @Option(
      names = STACKTRACE,
      scope = ScopeType.INHERIT,
      description = "With an error, also print where in the program it arose.")
  @SuppressWarnings("UnusedVariable") // looked for in the arguments, which may be wrong otherwise
  private boolean stacktrace;

  private Main() {}

  public static void main(String[] args) {
    System.exit(run(args, System.out, System.err));
  }

  /**
   * Runs the command.
   *
   * @return 0 done, 1 the work failed, 2 wrong usage
   */
  public static int run(String[] args, PrintStream out, PrintStream err) {
    return run(line(out, err), args);
  }

  /** The command with all its sub-commands. */
  static CommandLine line(PrintStream out, PrintStream err) {
    return new CommandLine(new Main())
        .setOut(new PrintWriter(out, true, StandardCharsets.UTF_8))
        .setErr(new PrintWriter(err, true, StandardCharsets.UTF_8))
        .setExpandAtFiles(false) // a column may be called @user
        .setCaseInsensitiveEnumValuesAllowed(true);
  }

  static int run(CommandLine line, String... args) {
    boolean trace = Arrays.asList(args).contains(STACKTRACE);
    line.setParameterExceptionHandler((e, given) -> wrongUsage(e, trace));
    line.setExecutionExceptionHandler(
        (e, command, parsed) ->
            e instanceof ParameterException wrong
                ? wrongUsage(wrong, trace)
                : failed(line.getErr(), e, trace));
    try {
      return line.execute(args);
    } catch (Throwable e) { // picocli lets errors pass, memory that ran out for one
      return failed(line.getErr(), e, trace);
    }
  }

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "no command was given");
  }

  private static int wrongUsage(ParameterException e, boolean trace) {
    CommandLine command = e.getCommandLine();
    String message =
        "%s; see '%s --help'"
            .formatted(
                Errors.oneLine(String.valueOf(e.getMessage())),
                command.getCommandSpec().qualifiedName());
    tell(command.getErr(), message, e, trace);
    return WRONG_USAGE;
  }

  private static int failed(PrintWriter err, Throwable e, boolean trace) {
    tell(err, Errors.describe(e), e, trace);
    return FAILED;
  }

  /** The message is always the last line. */
  private static void tell(PrintWriter err, String message, Throwable e, boolean trace) {
    if (trace) {
      e.printStackTrace(err);
    }
    err.println("peft4j: error: " + message);
  }
}

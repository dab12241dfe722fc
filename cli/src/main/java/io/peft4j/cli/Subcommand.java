package io.peft4j.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.peft4j.PeftException;
import java.io.PrintWriter;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** What every command has: {@code --json}, help, and where it prints. */
@Command(mixinStandardHelpOptions = true)
public abstract class Subcommand implements Callable<Integer> {
  private static final ObjectMapper JSON = new ObjectMapper();

  @Spec private CommandSpec spec = CommandSpec.create();

  @Option(names = "--json", description = "Print one JSON document for machines.")
  private boolean json;

  /** Does the work. */
  protected abstract void execute() throws Exception;

  @Override
  public final Integer call() throws Exception {
    execute();
    return CommandLine.ExitCode.OK;
  }

  /** Whether machines read the output. */
  protected final boolean json() {
    return json;
  }

  /** Prints a value as JSON, or the text that is made for people. */
  protected final void print(Object value, String text) {
    try {
      out().println(json ? JSON.writeValueAsString(value) : text.stripTrailing());
    } catch (JsonProcessingException e) {
      throw new PeftException("the result cannot be written as JSON", e);
    }
  }

  protected final PrintWriter out() {
    return spec.commandLine().getOut();
  }

  protected final PrintWriter err() {
    return spec.commandLine().getErr();
  }

  /** Whether somebody looks on who would like to see progress. */
  protected final boolean interactive() {
    return !json && Boolean.getBoolean("peft4j.terminal"); // set by the script
  }

  /** The options that were given. */
  protected final List<OptionSpec> given() {
    return spec.commandLine().getParseResult().matchedOptions();
  }

  /** An error in the arguments alone. */
  protected final ParameterException wrongUsage(String message) {
    return new ParameterException(spec.commandLine(), message);
  }
}

package io.peft4j.cli.adapter;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code peft4j adapter}. */
@Command(
    name = "adapter",
    description = "Look into adapter folders, convert, combine and extract them.",
    mixinStandardHelpOptions = true,
    subcommands = {
      InspectCommand.class,
      ConvertCommand.class,
      CombineCommand.class,
      ExtractCommand.class,
      ExportCommand.class
    })
public final class AdapterCommand implements Runnable {
  @Spec private CommandSpec spec = CommandSpec.create();

  @Override
  public void run() {
    String known = String.join(", ", spec.subcommands().keySet());
    throw new ParameterException(spec.commandLine(), "no command was given; known are " + known);
  }
}

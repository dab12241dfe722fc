package io.peft4j.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** {@code peft4j inspect}. */
@Command(name = "inspect", description = "Show what a model is, and an adapter on it.")
final class InspectCommand extends Subcommand {
  @Mixin private ModelArguments model = new ModelArguments();

  @Override
  protected void execute() {
    Inspection inspection = Inspection.of(model.open());
    print(inspection, inspection.text());
  }
}

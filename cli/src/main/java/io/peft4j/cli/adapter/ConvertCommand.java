package io.peft4j.cli.adapter;

import io.peft4j.AdaptedModel;
import io.peft4j.Checkpoints;
import io.peft4j.PeftException;
import io.peft4j.adapters.convert.AdapterConversion;
import io.peft4j.cli.Outputs;
import io.peft4j.cli.Subcommand;
import io.peft4j.format.Formats;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code peft4j adapter convert}. */
@Command(
    name = "convert",
    description =
        "Turn LoRA, (IA)³ or a prefix of PEFT into AdapterHub's or back, if both do the same.")
final class ConvertCommand extends Subcommand {
  @Parameters(
      index = "0",
      paramLabel = "DIR",
      description = "The folder that directly holds adapter_config.json.")
  private Path adapter = Path.of("");

  @Parameters(
      index = "1",
      paramLabel = "MODEL",
      description = "The adapter's model: an ONNX file, or a SafeTensors folder.")
  private Path model = Path.of("");

  /** Whose folders there are. */
  enum Format {
    PEFT,
    ADAPTERHUB;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  @Option(names = "--to", required = true, description = "${COMPLETION-CANDIDATES}.")
  private Format to = Format.PEFT;

  @Option(names = "--output", required = true, paramLabel = "OUT")
  private Path output = Path.of("");

  @Option(names = "--overwrite", description = "Replace an adapter that is at OUT already.")
  private boolean overwrite;

  /** What is printed. */
  record Result(String output, String from, String to, String method) {}

  @Override
  protected void execute() {
    String from = Formats.adapter(adapter).name();
    if (from.equals(to.toString())) {
      throw new PeftException("%s is an adapter of %s already".formatted(adapter, to));
    }
    AdaptedModel adapted = Checkpoints.open(model).load(adapter);
    AdaptedModel converted =
        to == Format.PEFT
            ? AdapterConversion.toPeft(adapted)
            : AdapterConversion.toAdapterHub(adapted);
    Outputs.requireAdapterTarget(output, overwrite, List.of(adapter, model));
    converted.save(output);
    String method = converted.adapter().method().name();
    print(
        new Result(output.toString(), from, to.toString(), method),
        "%s written: %s, %s folder".formatted(output, method, to));
  }
}

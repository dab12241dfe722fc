package io.peft4j.cli.adapter;

import io.peft4j.AdaptedModel;
import io.peft4j.Checkpoints;
import io.peft4j.PretrainedModel;
import io.peft4j.adapters.onnxruntime.SwitchableLora;
import io.peft4j.cli.Outputs;
import io.peft4j.cli.Subcommand;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code peft4j adapter export}. */
@Command(
    name = "export",
    description =
        "Write a model as ONNX, and LoRA adapters as .onnx_adapter files that ONNX Runtime switches"
            + " between in one session.")
final class ExportCommand extends Subcommand {
  @Parameters(
      index = "0",
      paramLabel = "MODEL",
      description = "An ONNX file, or a folder with config.json and SafeTensors weights.")
  private Path model = Path.of("");

  @Parameters(
      index = "1..*",
      arity = "1..*",
      paramLabel = "DIR",
      description = "LoRA of MODEL; the folder's name becomes the file's.")
  private List<Path> adapters = new ArrayList<>();

  @Option(names = "--output", required = true, paramLabel = "DIR")
  private Path output = Path.of("");

  @Option(names = "--overwrite", description = "Replace an earlier result at DIR.")
  private boolean overwrite;

  /** What is printed. */
  record Result(String output, List<String> files) {}

  @Override
  protected void execute() {
    Map<String, Path> named = new LinkedHashMap<>();
    for (Path adapter : adapters) {
      String name = String.valueOf(adapter.toAbsolutePath().normalize().getFileName());
      if (named.putIfAbsent(name, adapter) != null) {
        throw wrongUsage("two adapters are called '" + name + "'; rename a folder");
      }
    }
    PretrainedModel base = Checkpoints.open(model);
    Map<String, AdaptedModel> loaded = new LinkedHashMap<>();
    named.forEach((name, folder) -> loaded.put(name, base.load(folder)));
    SwitchableLora switchable = SwitchableLora.of(base, loaded);
    List<Path> sources = new ArrayList<>(adapters);
    sources.add(model);
    Outputs.requireFolderTarget(output, overwrite, sources, List.of("model.onnx"));
    List<String> files = switchable.write(output);
    print(
        new Result(output.toString(), files),
        "%s written: %s".formatted(output, String.join(", ", files)));
  }
}

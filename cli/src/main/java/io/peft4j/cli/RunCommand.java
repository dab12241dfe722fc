package io.peft4j.cli;

import io.peft4j.engine.InferenceEngines;
import io.peft4j.engine.Program;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code peft4j run}. */
@Command(name = "run", description = "Run a model on given tensors.")
final class RunCommand extends Subcommand {
  @Mixin private ModelArguments model = new ModelArguments();

  @Option(
      names = "--inputs",
      required = true,
      paramLabel = "IN.safetensors",
      description = "The inputs by name; 'labels' may be among them.")
  private Path inputs = Path.of("");

  @Option(
      names = "--output",
      required = true,
      paramLabel = "OUT.safetensors",
      description = "Where the outputs are written.")
  private Path output = Path.of("");

  @Option(names = "--engine", description = "${COMPLETION-CANDIDATES} (default: pytorch).")
  private EngineName engine = EngineName.PYTORCH;

  @Option(
      names = "--grad",
      description = "Also write the loss on 'labels' and the gradient of all that trains.")
  private boolean grad;

  @Override
  protected void execute() {
    if (grad && engine == EngineName.ONNXRUNTIME) {
      throw wrongUsage("--grad needs --engine pytorch: ONNX Runtime gives no gradients");
    }
    ModelArguments.Opened opened = model.open();
    Map<String, Tensor> given = SafeTensors.read(inputs).tensors();
    RunInputs prepared = RunInputs.of(opened, given);
    Map<String, Tensor> results = grad ? Gradients.of(opened, prepared) : outputs(opened, prepared);
    SafeTensors.write(output, results, Map.of());
    Map<String, String> summary = new TreeMap<>();
    results.forEach((name, tensor) -> summary.put(name, tensor.toString()));
    StringBuilder text = new StringBuilder();
    summary.forEach((name, tensor) -> text.append(name).append(": ").append(tensor).append('\n'));
    print(summary, text.toString());
  }

  private Map<String, Tensor> outputs(ModelArguments.Opened opened, RunInputs prepared) {
    try (Program program = program(opened)) {
      return new LinkedHashMap<>(program.run(prepared.inputs()));
    }
  }

  private Program program(ModelArguments.Opened opened) {
    boolean asItIs =
        engine == EngineName.ONNXRUNTIME
            && opened.adapted() == null
            && opened.base().checkpoint().format().equals("onnx");
    return asItIs
        ? InferenceEngines.named(InferenceEngines.ONNX_RUNTIME).open(model.path())
        : engine.compile(opened.graph());
  }
}

package io.peft4j.cli;

import io.peft4j.PeftException;
import io.peft4j.compress.quantize.Calibration;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code peft4j quantize}. */
@Command(
    name = "quantize",
    description =
        "Write a model as ONNX with its weights, or its whole arithmetic, in few bits, and"
            + " compare.")
final class QuantizeCommand extends Subcommand {
  /** Options that a recipe does not replace. */
  private static final Set<String> BESIDE_RECIPE =
      Set.of("--set", "--overwrite", "--json", "--stacktrace");

  @Spec private CommandSpec spec = CommandSpec.create();

  @Parameters(
      paramLabel = "MODEL|RECIPE.yaml",
      description =
          "An ONNX file, a folder with config.json and SafeTensors weights, or a recipe that says"
              + " all.")
  private Path model = Path.of("");

  @Option(
      names = "--adapter",
      paramLabel = "DIR",
      description = "Merged before: the folder that directly holds adapter_config.json.")
  private @Nullable Path adapter;

  @Option(
      names = "--output",
      paramLabel = "OUT",
      description = "An .onnx file; in mode weight-only also a folder, as which MODEL must come.")
  private @Nullable Path output;

  @Option(
      names = "--mode",
      description =
          "dynamic: int8 arithmetic, ranges found as it runs; static: ranges from --calibration;"
              + " weight-only: float arithmetic (default: dynamic, weight-only for int4 and nf4).")
  private @Nullable String mode;

  @Option(names = "--type", description = "int8, int4 or nf4 (default: int8).")
  private String type = "int8";

  @Option(
      names = "--group",
      converter = NumberArguments.Count.class,
      description = "Weights that share a scale, for int4 (default: 32) and nf4 (default: 64).")
  private int group;

  @Option(
      names = "--asymmetric",
      description = "For weight-only int8: a zero point for each channel.")
  private boolean asymmetric;

  @Option(names = "--double-quantization", description = "For nf4: scales in 8 bits themselves.")
  private boolean doubled;

  @Option(
      names = "--reduce-range",
      description =
          "int8 weights up to 64 rather than 127: exact on x86 processors without VNNI too.")
  private boolean reduced;

  @Option(
      names = "--exclude",
      split = ",",
      paramLabel = "NAME",
      description = "Layers that stay float, by module path or its last parts.")
  private List<String> excluded = new ArrayList<>();

  @Option(
      names = "--calibration",
      paramLabel = "FILE",
      description =
          "Texts that ranges are found on and uneven inputs smoothed by; 512 rows at most, spread"
              + " over the file.")
  private @Nullable Path calibrationRows;

  @Option(
      names = "--method",
      description = "How ranges are found: ${COMPLETION-CANDIDATES} (default: PERCENTILE).")
  private Calibration.Method method = Calibration.Method.PERCENTILE;

  @Option(names = "--percentile", description = "Of numbers that a range holds (default: 99.99).")
  private double percentile = QuantizeJob.PERCENTILE;

  @Option(
      names = "--no-smoothing",
      description = "With --calibration: leave uneven inputs of layers as they are.")
  private boolean rough;

  @Option(
      names = "--data",
      paramLabel = "FILE",
      description = "Rows to compare before and after on; with labels accuracy is compared.")
  private @Nullable Path data;

  @Option(
      names = "--max-loss",
      paramLabel = "POINTS",
      converter = NumberArguments.Tolerance.class,
      description =
          "Leave out the most sensitive layers until no more points of accuracy are lost on"
              + " --data.")
  private double maxLoss = Double.NaN;

  @Option(names = "--sensitivity", description = "Also try each layer alone and list them.")
  private boolean sensitivity;

  @Mixin private TextArguments texts = new TextArguments();

  @Option(
      names = "--set",
      paramLabel = "key=value",
      description = "Takes the place of a key of the recipe.")
  private List<String> settings = new ArrayList<>();

  @Option(names = "--overwrite", description = "Replace what is at OUT already.")
  private boolean overwrite;

  @Override
  protected void execute() {
    QuantizeJob job = job();
    QuantizeRun run =
        new QuantizeRun(
            job,
            overwrite,
            line -> {
              if (!json()) {
                err().println(line);
              }
            });
    QuantizeReport report = run.run();
    print(report, report.text());
  }

  private QuantizeJob job() {
    String name = model.toString();
    if (name.endsWith(".yaml") || name.endsWith(".yml")) {
      String other =
          spec.commandLine().getParseResult().matchedOptions().stream()
              .map(OptionSpec::longestName)
              .filter(option -> !BESIDE_RECIPE.contains(option))
              .sorted()
              .collect(Collectors.joining(", "));
      if (!other.isEmpty()) {
        throw wrongUsage(other + " does not go with a recipe; set it there, or with --set");
      }
      return QuantizeJob.read(model, settings);
    }
    if (!settings.isEmpty()) {
      throw wrongUsage("--set is for recipes; give the option itself");
    }
    if (output == null) {
      throw wrongUsage("Missing required option: '--output=OUT'");
    }
    try {
      String absent = type.equals("int8") ? "dynamic" : "weight-only";
      return new QuantizeJob(
          model,
          adapter,
          output,
          QuantizeJob.Mode.parse(mode == null ? absent : mode),
          QuantizeJob.format(type, group, !asymmetric, doubled),
          reduced,
          excluded,
          calibrationRows,
          new Calibration(method, percentile),
          !rough,
          data,
          texts.columns(),
          texts.maxLength(),
          maxLoss,
          sensitivity);
    } catch (PeftException e) {
      throw wrongUsage(String.valueOf(e.getMessage()));
    }
  }
}

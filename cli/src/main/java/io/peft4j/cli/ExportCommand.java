package io.peft4j.cli;

import io.peft4j.PretrainedModel;
import io.peft4j.RecipeException;
import io.peft4j.compress.export.ExportFolder;
import io.peft4j.compress.export.ExportTask;
import io.peft4j.compress.export.OnnxExport;
import io.peft4j.compress.export.VerifiedExport;
import io.peft4j.data.DataFiles;
import io.peft4j.data.Dataset;
import io.peft4j.engine.OutputDifference;
import io.peft4j.graph.Dim;
import io.peft4j.graph.Graph;
import io.peft4j.task.Pooling;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.TypeConversionException;

/** {@code peft4j export}. */
@Command(
    name = "export",
    description = "Write a model, its adapter merged, as ONNX or as a SafeTensors folder.")
final class ExportCommand extends Subcommand {
  @Mixin private ModelArguments model = new ModelArguments();

  /** What can be written. */
  enum Format {
    ONNX,
    SAFETENSORS;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /** An axis: a size, or {@code dynamic}. */
  static final class Axis implements ITypeConverter<Integer> {
    static final int DYNAMIC = 0;

    @Override
    public Integer convert(String text) throws Exception {
      if (text.equals("dynamic")) {
        return DYNAMIC;
      }
      try {
        return new NumberArguments.Count().convert(text);
      } catch (TypeConversionException e) {
        throw new TypeConversionException("'" + text + "' is neither a size nor 'dynamic'");
      }
    }

    static @Nullable Dim of(@Nullable Integer value, String symbol) {
      return value == null ? null : value == DYNAMIC ? Dim.of(symbol) : Dim.of((long) value);
    }
  }

  @Option(names = "--format", required = true, description = "${COMPLETION-CANDIDATES}.")
  private Format format = Format.ONNX;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "OUT",
      description =
          "A file that ends in .onnx, or a folder: with tokenizer, labels, serving.properties and"
              + " README.md.")
  private Path output = Path.of("");

  @Option(names = "--opset", description = "For ONNX: the operator set, 17 to 21 (default: 21).")
  private @Nullable Integer opset;

  @Option(
      names = "--fp16",
      description = "For ONNX: weights and computation in float16; outputs stay float32.")
  private boolean half;

  @Option(
      names = "--task",
      converter = TaskName.class,
      paramLabel = "TASK",
      description =
          "For ONNX: feature-extraction writes the tokens' vectors alone, as last_hidden_state"
              + " (default: all outputs).")
  private @Nullable ExportTask task;

  @Option(
      names = "--unmerged",
      description =
          "For ONNX: the adapter stays in the graph as nodes of its own, as one that cannot be"
              + " merged must.")
  private boolean unmerged;

  @Option(
      names = "--batch",
      converter = Axis.class,
      paramLabel = "N|dynamic",
      description = "For ONNX: the first axis of every input (default: as it is).")
  private @Nullable Integer batch;

  @Option(
      names = "--sequence",
      converter = Axis.class,
      paramLabel = "N|dynamic",
      description = "For ONNX: the second axis of every input (default: as it is).")
  private @Nullable Integer sequence;

  @Option(
      names = "--rename",
      paramLabel = "OLD=NEW",
      description = "For ONNX: another name for an input or output; can be given again.")
  private Map<String, String> names = new LinkedHashMap<>();

  @Option(names = "--pooling", description = "Noted for DJL: ${COMPLETION-CANDIDATES}.")
  private Pooling pooling = Pooling.MEAN;

  @Option(
      names = "--data",
      paramLabel = "FILE",
      description = "Rows to judge the written files on, for the card; columns text and label.")
  private @Nullable Path data;

  @Option(
      names = "--max-length",
      converter = NumberArguments.Count.class,
      description = "Tokens of a text at most, noted for DJL (default: 128).")
  private int maxLength = 128;

  @Option(
      names = "--tolerance",
      converter = NumberArguments.Tolerance.class,
      description = "The largest output difference to accept (default: 1e-4, 2e-2 in 16 bits).")
  private @Nullable Double tolerance;

  @Option(names = "--overwrite", description = "Replace a model that is at OUT already.")
  private boolean overwrite;

  /** The names of tasks, as Hugging Face has them. */
  static final class TaskName implements ITypeConverter<ExportTask> {
    @Override
    public ExportTask convert(String text) {
      if (text.equals(ExportTask.FEATURE_EXTRACTION.toString())) {
        return ExportTask.FEATURE_EXTRACTION;
      }
      throw new TypeConversionException("'" + text + "' is not feature-extraction");
    }
  }

  /** What is printed. */
  record Result(String output, double maxOutputDifference) {}

  @Override
  protected void execute() {
    OnnxExport export = export();
    boolean file = output.toString().endsWith(".onnx");
    check(file);
    ModelArguments.Opened opened = model.open();
    Outputs.requireModelTarget(output, overwrite, model.path(), model.adapter());
    PretrainedModel plain = unmerged ? opened.unmerged() : opened.merged();
    Dataset rows = data == null ? null : DataFiles.read(data, DataFiles.Columns.standard(), true);
    double usual = Math.max(export.tolerance(), OutputDifference.tolerance(plain.graph()));
    double accepted = tolerance == null ? usual : tolerance;
    ExportFolder folder = new ExportFolder(pooling, maxLength, accepted, rows);
    double difference;
    if (format == Format.SAFETENSORS) {
      difference = folder.safetensors(plain, output);
    } else if (!file) {
      difference = folder.onnx(plain, export, output);
    } else {
      boolean unchanged = opened.adapted() == null && plain.checkpoint().format().equals("onnx");
      difference =
          unchanged
              ? VerifiedExport.rewritten(plain, export, output, accepted)
              : VerifiedExport.onnx(plain, export, output, accepted);
      Outputs.tokenizerBeside(output, model.path());
    }
    print(
        new Result(output.toString(), difference),
        String.format(
            Locale.ROOT,
            "%s written; largest output difference %s %.1e",
            output,
            format == Format.ONNX ? "in ONNX Runtime" : "when read again",
            difference));
  }

  private OnnxExport export() {
    try {
      return new OnnxExport(
          opset == null ? Graph.OPSET : opset,
          half,
          task == null ? ExportTask.AS_IT_IS : task,
          Axis.of(batch, "batch"),
          Axis.of(sequence, "sequence"),
          names);
    } catch (RecipeException e) {
      throw wrongUsage("--" + e.getMessage());
    }
  }

  private void check(boolean file) {
    boolean forOnnx = opset != null || half || task != null || batch != null || sequence != null;
    if (format == Format.SAFETENSORS && (forOnnx || !names.isEmpty())) {
      throw wrongUsage("--opset, --fp16, --task, --batch, --sequence and --rename are for ONNX");
    }
    if (unmerged && (format == Format.SAFETENSORS || model.adapter() == null)) {
      throw wrongUsage("--unmerged is for ONNX with an --adapter");
    }
    if (format == Format.SAFETENSORS && file) {
      throw wrongUsage("SafeTensors are written as a folder; give one as --output");
    }
    if (data != null && file) {
      throw wrongUsage("--data is for the card in a folder; give one as --output");
    }
    if (data != null && task == ExportTask.FEATURE_EXTRACTION) {
      throw wrongUsage("--data judges scores, which --task feature-extraction leaves out");
    }
  }
}

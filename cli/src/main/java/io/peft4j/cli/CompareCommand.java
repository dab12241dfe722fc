package io.peft4j.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.peft4j.PeftException;
import io.peft4j.compress.compare.Candidate;
import io.peft4j.compress.compare.Comparison;
import io.peft4j.compress.compare.ComparisonResult;
import io.peft4j.data.DataFiles;
import io.peft4j.data.Dataset;
import io.peft4j.format.AtomicWrite;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code peft4j compare}. */
@Command(
    name = "compare",
    description =
        "Measure text classifiers side by side: quality, size, latency, throughput, memory.")
final class CompareCommand extends Subcommand {
  private static final String PAGE = "compare.html";
  private static final String FILE = "compare.json";

  @Parameters(
      arity = "1..*",
      paramLabel = "[NAME=]MODEL[+ADAPTER]",
      description =
          "ONNX files, or folders with SafeTensors or a model.onnx, the tokenizer beside each; the"
              + " first is what the others are held against.")
  private List<String> models = new ArrayList<>();

  @Option(
      names = "--data",
      required = true,
      paramLabel = "FILE",
      description = "A .tsv, .csv or .jsonl file with labels.")
  private Path data = Path.of("");

  @Mixin private TextArguments texts = new TextArguments();

  @Option(
      names = "--output",
      paramLabel = "DIR",
      description = "A folder to write compare.html and compare.json to.")
  private @Nullable Path output;

  @Option(
      names = "--rounds",
      converter = NumberArguments.Count.class,
      description = "How often each has its turn to be timed (default: 8).")
  private int rounds = 8;

  @Option(
      names = "--threads",
      converter = NumberArguments.Count.class,
      description = "Threads of ONNX Runtime (default: its own choice).")
  private @Nullable Integer threads;

  @Option(names = "--overwrite", description = "Replace the files of an earlier comparison.")
  private boolean overwrite;

  @Override
  protected void execute() {
    List<Candidate> candidates = candidates();
    requireFree();
    Dataset rows = DataFiles.read(data, texts.columns(), true);
    ComparisonResult result =
        Comparison.of(candidates, rows)
            .measuring(rounds, texts.maxLength(), threads == null ? 0 : threads)
            .telling(this::tell)
            .run();
    if (output != null) {
      AtomicWrite.file(
          output.resolve(FILE),
          file ->
              new ObjectMapper()
                  .writerWithDefaultPrettyPrinter()
                  .writeValue(file.toFile(), result));
      AtomicWrite.file(output.resolve(PAGE), file -> Files.writeString(file, result.html()));
    }
    print(
        result,
        result.text() + (output == null ? "" : output.resolve(PAGE) + " and " + FILE + " written"));
  }

  private void tell(String line) {
    if (interactive()) {
      err().println(line);
    }
  }

  private void requireFree() {
    if (output == null || overwrite) {
      return;
    }
    for (String name : List.of(PAGE, FILE)) {
      if (Files.exists(output.resolve(name))) {
        throw new PeftException(
            output.resolve(name) + " is there already; give another --output, or add --overwrite");
      }
    }
  }

  private List<Candidate> candidates() {
    List<Candidate> candidates = new ArrayList<>();
    Set<String> names = new HashSet<>();
    for (String argument : models) {
      Candidate candidate = candidate(argument);
      if (names.contains(candidate.name())) { // of files of one name, the folders tell them apart
        candidate = candidate.named(argument);
      }
      if (!names.add(candidate.name())) {
        throw wrongUsage("two models are called '" + candidate.name() + "'; give NAME=MODEL");
      }
      candidates.add(candidate);
    }
    return candidates;
  }

  /** Whatever is there under the whole name is a model, whatever signs its name has. */
  private static Candidate candidate(String argument) {
    if (Files.exists(Path.of(argument))) {
      return Candidate.of(Path.of(argument));
    }
    int equals = argument.indexOf('=');
    if (equals > 0) {
      return candidate(argument.substring(equals + 1)).named(argument.substring(0, equals));
    }
    int plus = argument.lastIndexOf('+');
    return plus > 0
        ? Candidate.of(Path.of(argument.substring(0, plus)), Path.of(argument.substring(plus + 1)))
        : Candidate.of(Path.of(argument));
  }
}

package io.peft4j.cli;

import io.peft4j.AdaptedModel;
import io.peft4j.Checkpoints;
import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.compress.quantize.AutomaticExclusion;
import io.peft4j.compress.quantize.Comparison;
import io.peft4j.compress.quantize.DynamicInt8;
import io.peft4j.compress.quantize.Quantization;
import io.peft4j.compress.quantize.QuantizedFolder;
import io.peft4j.compress.quantize.QuantizedModel;
import io.peft4j.compress.quantize.Sensitivity;
import io.peft4j.compress.quantize.Smoothing;
import io.peft4j.compress.quantize.StaticInt8;
import io.peft4j.compress.quantize.WeightOnly;
import io.peft4j.compress.quantize.Yardstick;
import io.peft4j.data.BatchSource;
import io.peft4j.data.DataFiles;
import io.peft4j.data.Dataset;
import io.peft4j.data.Example;
import io.peft4j.data.TextBatches;
import io.peft4j.data.TextTokenizer;
import io.peft4j.engine.InferenceEngine;
import io.peft4j.engine.InferenceEngines;
import io.peft4j.engine.ProbeInputs;
import io.peft4j.engine.Program;
import io.peft4j.format.Checkpoint;
import io.peft4j.format.Formats;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;

/** One run of {@code peft4j quantize}. */
final class QuantizeRun {
  /** Single layers are tried on so many rows at most. */
  private static final int PROBED = 64;

  /** Ranges are found on so many rows at most. */
  private static final int CALIBRATED = 512;

  private final QuantizeJob job;
  private final boolean overwrite;
  private final Consumer<String> progress;

  /**
   * @param progress told what is being done, a line a step
   */
  QuantizeRun(QuantizeJob job, boolean overwrite, Consumer<String> progress) {
    this.job = job;
    this.overwrite = overwrite;
    this.progress = progress;
  }

  /** What was found; the layers and the reasons of those that the search left out. */
  private record Found(Quantization way, QuantizedModel model, Map<String, String> left) {}

  QuantizeReport run() {
    PretrainedModel base = Checkpoints.open(job.model());
    Outputs.requireModelTarget(job.output(), overwrite, job.model(), job.adapter());
    if (!job.onnx()) {
      QuantizedFolder.requireFolder(base.checkpoint());
    }
    Path adapter = job.adapter();
    AdaptedModel adapted = adapter == null ? null : base.load(adapter);
    PretrainedModel plain = adapted == null ? base.dequantized() : adapted.merge().model();
    List<String> labels = plain.checkpoint().labels();
    Graph graph = plain.graph();
    if (!labels.isEmpty()) {
      graph = graph.edit().metadata(Checkpoint.LABELS_KEY, Checkpoint.text(labels)).build();
    }
    Path source = job.calibrationRows();
    BatchSource calibration =
        source == null
            ? null
            : new SomeRows(rows(base, graph, read(source), List.of()), CALIBRATED);
    Path data = job.data();
    Dataset judged = data == null ? null : read(data);
    BatchSource rows =
        judged != null
            ? rows(base, graph, judged, labels)
            : calibration != null ? calibration : new ProbeRows(ProbeInputs.of(graph));
    Graph even = graph;
    Quantization way = way();
    if (job.smoothing() && calibration != null) {
      progress.accept("smoothing the inputs of layers");
      even = Smoothing.standard().apply(graph, way, calibration);
    }
    if (job.mode() == QuantizeJob.Mode.STATIC && calibration != null) {
      progress.accept("finding ranges on %d rows".formatted(calibration.size()));
      way =
          new StaticInt8(
              job.calibration().ranges(even, StaticInt8.points(even), calibration),
              job.reduced(),
              Set.copyOf(job.excluded()));
    }
    String name = data != null ? data.toString() : source != null ? source.toString() : "probe";
    try (Yardstick yardstick = new Yardstick(graph, rows);
        Yardstick probe = new Yardstick(graph, new SomeRows(rows, PROBED))) {
      List<Sensitivity> layers =
          job.sensitivity()
              ? Sensitivity.of(way, even, probe, Sensitivity.Probe.ALONE, this::trying)
              : List.of();
      Found found = found(way, even, yardstick, probe);
      return written(plain, graph, found, yardstick, probe, labels, name, layers);
    }
  }

  private void trying(String layer) {
    progress.accept("trying " + layer);
  }

  private Dataset read(Path file) {
    return DataFiles.read(file, job.columns(), false);
  }

  /** Tokenized rows, with the numbers of their labels if each has one. */
  private BatchSource rows(PretrainedModel base, Graph graph, Dataset data, List<String> labels) {
    boolean labelled =
        !labels.isEmpty()
            && data.examples().stream()
                .map(Example::label)
                .allMatch(l -> l != null && !l.isBlank());
    long[] ids = labelled ? data.labelIds(labels) : new long[0];
    try (TextTokenizer tokenizer = base.tokenizer(job.maxLength())) {
      return new TextBatches(data, ids, tokenizer, graph.requiredInputs());
    }
  }

  private Quantization way() {
    Set<String> excluded = Set.copyOf(job.excluded());
    return switch (job.mode()) {
      case DYNAMIC -> new DynamicInt8(job.reduced(), excluded);
      case STATIC -> new StaticInt8(Map.of(), job.reduced(), excluded);
      case WEIGHT_ONLY -> new WeightOnly(job.format(), excluded);
    };
  }

  private Found found(Quantization way, Graph graph, Yardstick yardstick, Yardstick probe) {
    progress.accept("quantising");
    if (Double.isNaN(job.maxLoss())) {
      QuantizedModel model = way.apply(graph);
      return new Found(way, model, model.left());
    }
    AutomaticExclusion.Result result =
        new AutomaticExclusion(job.maxLoss()).search(way, graph, yardstick, probe, progress);
    Map<String, String> left = new LinkedHashMap<>(result.model().left());
    result.excluded().forEach(layer -> left.put(layer, "left out to keep within --max-loss"));
    return new Found(result.way(), result.model(), left);
  }

  /** Writes to a temporary place, runs what was written, compares, and only then to the target. */
  private QuantizeReport written(
      PretrainedModel plain,
      Graph graph,
      Found found,
      Yardstick yardstick,
      Yardstick probe,
      List<String> labels,
      String name,
      List<Sensitivity> layers) {
    try (Scratch scratch = new Scratch()) {
      Path before = scratch.file("before.onnx");
      Path after = scratch.file(job.onnx() ? "after.onnx" : "after");
      Formats.modelNamed("onnx").write(plain.checkpoint(), graph, before);
      write(plain, graph, found, after);
      progress.accept("running it in ONNX Runtime");
      Comparison comparison;
      double speedup;
      try (Program program = opened(after)) {
        comparison = yardstick.compare(program);
        speedup = probe.speedup(program);
      }
      if (Double.isNaN(comparison.maxDifference())) {
        throw new PeftException(
            "the quantised model scores rows that are not numbers; nothing was written: leave"
                + " layers out with --exclude");
      }
      if (job.onnx()) {
        BesideModel.of(job.model(), job.output(), graph, labels, job.maxLength()).write(overwrite);
      }
      write(plain, graph, found, job.output());
      boolean judged = !Double.isNaN(comparison.accuracyBefore());
      long bytes = scratch.bytes("before");
      long bytesAfter = scratch.bytes("after");
      return new QuantizeReport(
          job.output().toString(),
          job.mode().toString(),
          job.format().label(),
          bytes,
          bytesAfter,
          bytesAfter / (double) bytes,
          name,
          comparison.examples(),
          judged ? comparison.accuracyBefore() : null,
          judged ? comparison.accuracyAfter() : null,
          comparison.agreement(),
          comparison.maxDifference(),
          comparison.relativeError(),
          speedup,
          found.model().quantized(),
          found.left(),
          layers.stream().map(QuantizeRun::layer).toList());
    }
  }

  private void write(PretrainedModel plain, Graph graph, Found found, Path target) {
    if (found.way() instanceof WeightOnly way && !job.onnx()) {
      QuantizedFolder.write(plain.checkpoint(), graph, way, target);
    } else {
      Formats.modelNamed("onnx").write(plain.checkpoint(), found.model().graph(), target);
    }
  }

  private Program opened(Path written) {
    InferenceEngine runtime = InferenceEngines.named(InferenceEngines.ONNX_RUNTIME);
    return job.onnx() ? runtime.open(written) : runtime.compile(Checkpoints.open(written).graph());
  }

  private static QuantizeReport.Layer layer(Sensitivity tried) {
    Comparison c = tried.comparison();
    return new QuantizeReport.Layer(
        tried.layer(),
        tried.weights(),
        c.relativeError(),
        c.agreement(),
        Double.isNaN(c.accuracyBefore()) ? null : c.accuracyAfter() - c.accuracyBefore());
  }

  /** Rows that were made up, which only come all together. */
  private record ProbeRows(Map<String, Tensor> inputs) implements BatchSource {
    @Override
    public int size() {
      return (int) inputs.values().iterator().next().dim(0);
    }

    @Override
    public Map<String, Tensor> batch(int[] rows) {
      return inputs;
    }

    @Override
    public int length(int row) {
      return 1;
    }

    @Override
    public long label(int row) {
      return -1;
    }
  }

  /** Rows spread over all. */
  private record SomeRows(BatchSource all, int most) implements BatchSource {
    @Override
    public int size() {
      return Math.min(most, all.size());
    }

    private int row(int row) {
      return (int) ((long) row * all.size() / size());
    }

    @Override
    public Map<String, Tensor> batch(int[] rows) {
      int[] chosen = new int[rows.length];
      Arrays.setAll(chosen, i -> row(rows[i]));
      return all.batch(chosen);
    }

    @Override
    public int length(int row) {
      return all.length(row(row));
    }

    @Override
    public long label(int row) {
      return all.label(row(row));
    }
  }
}

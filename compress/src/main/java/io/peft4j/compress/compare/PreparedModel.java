package io.peft4j.compress.compare;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.peft4j.AdaptedModel;
import io.peft4j.CheckpointFormatException;
import io.peft4j.Checkpoints;
import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.data.TextTokenizers;
import io.peft4j.format.Checkpoint;
import io.peft4j.format.Formats;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.task.PooledHead;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;

/**
 * A candidate as its process needs it.
 *
 * @param onnx the file to run: the candidate's own where it is ONNX without an adapter
 * @param output the name of the output with the scores
 * @param tokenizer the tokenizer's file
 * @param labels the classes in the order of the scores
 * @param parameters numbers in the weights
 * @param bytes of all files that the candidate needs
 */
record PreparedModel(
    Candidate candidate,
    Path onnx,
    String output,
    Path tokenizer,
    List<String> labels,
    long parameters,
    long bytes) {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Set<DType> NARROW = Set.of(DType.INT8, DType.UINT8, DType.INT4, DType.UINT4);

  /**
   * @param scratch an empty folder for what must be written before it can run
   * @throws PeftException if the candidate cannot be read, or does not name its classes
   */
  static PreparedModel of(Candidate candidate, Path scratch) throws IOException {
    Path source = candidate.checkpoint();
    PretrainedModel base = Checkpoints.open(source);
    Path tokenizer = TextTokenizers.file(source);
    Path adapter = candidate.adapter();
    AdaptedModel adapted = adapter == null ? null : base.load(adapter);
    Graph graph = adapted == null ? base.graph() : adapted.graph();
    String output = scores(candidate, graph);
    List<String> labels = adapted == null ? base.checkpoint().labels() : adapted.labels();
    if (labels.isEmpty()) {
      labels = configured(tokenizer.resolveSibling("config.json"));
    }
    if (labels.isEmpty()) {
      throw new PeftException(
          "model '%s' does not say which labels it scores; give the adapter that it was trained with (MODEL+ADAPTER), or put a config.json with id2label beside it"
              .formatted(candidate.name()));
    }
    Path onnx = source;
    if (adapted != null || !base.checkpoint().format().equals("onnx")) {
      onnx = scratch.resolve("model.onnx");
      Formats.modelNamed("onnx")
          .write(new Checkpoint(onnx, "onnx", graph, "", labels), graph, onnx);
    }
    long bytes = weights(source, base.graph()) + Files.size(tokenizer);
    if (adapter != null) {
      bytes += folder(adapter);
    }
    return new PreparedModel(candidate, onnx, output, tokenizer, labels, parameters(graph), bytes);
  }

  /** All float weights, and the matrices of integers of at most 8 bits: quantised weights. */
  private static long parameters(Graph graph) {
    return graph.parameterCount()
        + graph.initializers().values().stream()
            .filter(t -> NARROW.contains(t.dtype()) && t.rank() >= 2)
            .mapToLong(Tensor::size)
            .sum();
  }

  /** {@code logits}, or else the only output. */
  private static String scores(Candidate candidate, Graph graph) {
    List<String> outputs = graph.outputs().stream().map(Value::name).toList();
    if (outputs.contains(PooledHead.LOGITS)) {
      return PooledHead.LOGITS;
    }
    if (outputs.size() != 1) {
      throw new PeftException(
          "model '%s' has no output 'logits', only %s; give a classifier, or the adapter that was trained with a head (MODEL+ADAPTER)"
              .formatted(candidate.name(), outputs));
    }
    return outputs.get(0);
  }

  /** The classes that a config.json names; none where there is no such file or no names. */
  private static List<String> configured(Path config) {
    if (!Files.isRegularFile(config)) {
      return List.of();
    }
    try {
      JsonNode names = JSON.readTree(config.toFile()).path("id2label");
      List<String> labels = new ArrayList<>();
      while (names.has(Integer.toString(labels.size()))) {
        labels.add(names.get(Integer.toString(labels.size())).asText());
      }
      return labels;
    } catch (IOException e) {
      throw new CheckpointFormatException(config + " is no valid JSON; get it again", e);
    }
  }

  /** The bytes of an ONNX file with its external data, or of a SafeTensors folder's model files. */
  private static long weights(Path source, Graph graph) throws IOException {
    if (Files.isDirectory(source)) {
      try (Stream<Path> files = Files.list(source)) {
        return sum(
            files.filter(
                f ->
                    f.getFileName()
                        .toString()
                        .matches("(config|.*index)\\.json|.*\\.safetensors")));
      }
    }
    long file = Files.size(source);
    long held = graph.initializers().values().stream().mapToLong(Tensor::byteSize).sum();
    return held > file ? file + held : file; // weights that do not fit in lie beside it
  }

  private static long folder(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return sum(files.filter(Files::isRegularFile));
    }
  }

  private static long sum(Stream<Path> files) throws IOException {
    long sum = 0;
    for (Path file : files.toList()) {
      sum += Files.size(file);
    }
    return sum;
  }
}

package io.peft4j.loaders.huggingface;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.peft4j.CheckpointFormatException;
import io.peft4j.UnsupportedModelException;
import io.peft4j.format.AtomicWrite;
import io.peft4j.format.Checkpoint;
import io.peft4j.format.ModelFormat;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.QuantizedTensors;
import io.peft4j.loaders.safetensors.SafeTensors;
import io.peft4j.loaders.safetensors.SafeTensorsFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Folders with a {@code config.json} and SafeTensors weights, as the Hugging Face libraries write
 * them. The graph is built from the configuration: initializers have the names of the file, those
 * that begin with {@code constant::} are the builder's own and no weights.
 */
public final class HuggingFaceFormat implements ModelFormat {
  private static final String CONFIG = "config.json";
  private static final String WEIGHTS = "model.safetensors";
  private static final String INDEX = WEIGHTS + ".index.json";

  /** What is taken over beside the weights, where it is there. */
  private static final List<String> COMPANIONS =
      List.of(
          CONFIG,
          "added_tokens.json",
          "generation_config.json",
          "merges.txt",
          "preprocessor_config.json",
          "sentencepiece.bpe.model",
          "special_tokens_map.json",
          "spiece.model",
          "spm.model",
          "tokenizer.json",
          "tokenizer.model",
          "tokenizer_config.json",
          "vocab.json",
          "vocab.txt");

  @Override
  public String name() {
    return "safetensors";
  }

  @Override
  public boolean accepts(Path path) {
    if (Files.isDirectory(path)) {
      return Files.isRegularFile(path.resolve(CONFIG))
          && (Files.isRegularFile(path.resolve(WEIGHTS))
              || Files.isRegularFile(path.resolve(INDEX)));
    }
    return path.toString().endsWith(".safetensors")
        && Files.isRegularFile(path)
        && Files.isRegularFile(path.resolveSibling(CONFIG));
  }

  @Override
  public Checkpoint read(Path path) {
    return read(path, false);
  }

  /**
   * Reads a checkpoint.
   *
   * @param debug whether the graph also gives {@code hidden_states.<i>}, as the reference library
   *     numbers them
   */
  Checkpoint read(Path path, boolean debug) {
    ModelConfig config = ModelConfig.read(folder(path).resolve(CONFIG));
    SafeTensorsFile weights = weights(path);
    Graph graph = Families.build(config, weights.file(), weights.tensors(), debug);
    String architecture = config.architectures().isEmpty() ? "" : graph.name();
    boolean scores = graph.outputs().stream().anyMatch(v -> v.name().equals("logits"));
    return new Checkpoint(path, name(), graph, architecture, scores ? config.labels() : List.of());
  }

  private static Path folder(Path path) {
    Path absolute = path.toAbsolutePath();
    Path parent = absolute.getParent();
    return Files.isDirectory(path) || parent == null ? path : parent;
  }

  private static SafeTensorsFile weights(Path path) {
    return QuantizedTensors.dequantized(stored(path));
  }

  private static SafeTensorsFile stored(Path path) {
    if (!Files.isDirectory(path)) {
      return SafeTensors.read(path);
    }
    Path whole = path.resolve(WEIGHTS);
    Path index = path.resolve(INDEX);
    return Files.exists(whole) || !Files.exists(index)
        ? SafeTensors.read(whole)
        : SafeTensors.readSharded(index);
  }

  @Override
  public void write(Checkpoint origin, Graph graph, Path target) {
    if (!accepts(origin.source())) {
      throw new UnsupportedModelException(
          "%s: it has no config.json and SafeTensors weights, which a SafeTensors folder is written"
                  .formatted(origin.source())
              + " after; write the model as ONNX");
    }
    Path folder = folder(origin.source());
    ModelConfig config = configOf(folder.resolve(CONFIG), origin, graph);
    Map<String, Tensor> weights = merged(origin, graph, Families.untiedHead(config));
    checkConfigFits(config, target, graph, weights);
    AtomicWrite.folder(
        target,
        temporary -> {
          for (String companion : COMPANIONS) {
            if (Files.isRegularFile(folder.resolve(companion))) {
              Files.copy(folder.resolve(companion), temporary.resolve(companion));
            }
          }
          if (config.isChanged()) {
            Files.writeString(temporary.resolve(CONFIG), config.toJson(), UTF_8);
          }
          SafeTensors.write(temporary.resolve(WEIGHTS), weights, Map.of("format", "pt"));
        });
  }

  /**
   * The configuration of the origin, with the names that the classes have got; where the output
   * layer has got a weight of its own, with that said.
   */
  private static ModelConfig configOf(Path file, Checkpoint origin, Graph graph) {
    ModelConfig config = ModelConfig.read(file).naming(origin.labels());
    String head = Families.untiedHead(config);
    Graph first =
        Families.build(ModelConfig.read(file), file, weights(origin.source()).tensors(), false);
    return reads(graph, head) && !reads(first, head) ? config.untied() : config;
  }

  private static boolean reads(Graph graph, String initializer) {
    return graph.nodes().stream().anyMatch(node -> node.inputs().contains(initializer));
  }

  /** The weights of the origin with those of the graph in their places. */
  private static Map<String, Tensor> merged(Checkpoint origin, Graph graph, String head) {
    String added =
        graph.nodes().stream()
            .filter(n -> !n.tag().isEmpty())
            .findFirst()
            .map(n -> n.tag())
            .orElseGet(() -> graph.tags().values().stream().findFirst().orElse(""));
    if (!added.isEmpty()) {
      throw new UnsupportedModelException(
          "the model still has the adapter '%s', which a SafeTensors folder cannot hold; merge it"
                  .formatted(added)
              + " first, or write the model as ONNX");
    }
    Map<String, Tensor> weights = new LinkedHashMap<>(weights(origin.source()).tensors());
    graph
        .initializers()
        .forEach(
            (name, tensor) -> {
              if (name.startsWith(Graph.CONSTANT)) {
                return;
              }
              Tensor old = weights.get(name);
              if (old == null && name.equals(head)) {
                weights.put(name, tensor);
                return;
              }
              if (old == null) {
                throw cannotExpress(origin.source(), "weight '" + name + "' is not in its origin");
              }
              if (!Arrays.equals(old.shape(), tensor.shape())) {
                throw cannotExpress(
                    origin.source(),
                    "weight '%s' has shape %s, its origin %s"
                        .formatted(
                            name, Arrays.toString(tensor.shape()), Arrays.toString(old.shape())));
              }
              weights.put(name, tensor);
            });
    return weights;
  }

  /** Builds the model anew from the configuration and compares. */
  private static void checkConfigFits(
      ModelConfig config, Path target, Graph graph, Map<String, Tensor> weights) {
    Graph fresh;
    try {
      fresh = Families.build(config, target, weights, false);
    } catch (CheckpointFormatException e) {
      throw cannotExpress(config.file(), String.valueOf(e.getMessage()));
    }
    Map<List<Object>, Integer> forms = new HashMap<>();
    String difference =
        new GraphSignature(graph, forms).difference(new GraphSignature(fresh, forms));
    if (difference != null) {
      throw cannotExpress(config.file(), difference);
    }
  }

  private static UnsupportedModelException cannotExpress(Path file, String what) {
    return new UnsupportedModelException(
        "%s: config.json cannot express the changed model: %s; write it as ONNX"
            .formatted(file, what));
  }
}

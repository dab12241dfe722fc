package io.peft4j.compress.prune;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.peft4j.Checkpoints;
import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.UnsupportedModelException;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.OutputDifference;
import io.peft4j.engine.ProbeInputs;
import io.peft4j.engine.Program;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.format.AtomicWrite;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Writes a pruned model as a SafeTensors folder, where the one number that {@code config.json} has
 * for all layers can say what was cut: neurons, the same number in each layer, and whole layers.
 * What was written is read again and compared.
 */
public final class EvenCheckpoint {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String CONFIG = "config.json";

  private static final Map<Structure, List<String>> KEYS =
      Map.of(
          Structure.NEURONS,
          List.of("intermediate_size", "n_inner", "hidden_dim", "ffn_dim", "d_ff"),
          Structure.LAYERS,
          List.of("num_hidden_layers", "n_layer", "n_layers", "num_layers"));

  /** The number of a layer in the name of a weight. */
  private static final Pattern LAYER = Pattern.compile("(?<=\\.)\\d+(?=\\.)");

  private EvenCheckpoint() {}

  /**
   * Writes the folder, whole or not at all.
   *
   * @throws UnsupportedModelException if the model was not read from such a folder, or its
   *     config.json cannot say what was cut
   */
  public static void write(PrunedModel pruned, Path target) {
    Path source = pruned.model().checkpoint().source();
    Path config = source.resolve(CONFIG);
    if (!Files.isRegularFile(config)) {
      throw new UnsupportedModelException(
          source + " is no folder with a config.json to write another after; write it as ONNX");
    }
    AtomicWrite.folder(
        target,
        folder -> {
          ObjectNode fresh = config(config, pruned);
          JSON.writerWithDefaultPrettyPrinter().writeValue(folder.resolve(CONFIG).toFile(), fresh);
          SafeTensors.write(
              folder.resolve("model.safetensors"),
              weights(pruned.model().graph()),
              Map.of("format", "pt"));
          for (String companion : List.of("tokenizer.json", "tokenizer_config.json", "vocab.txt")) {
            if (Files.isRegularFile(source.resolve(companion))) {
              Files.copy(source.resolve(companion), folder.resolve(companion));
            }
          }
          requireSame(pruned.model().graph(), folder, config);
        });
  }

  private static ObjectNode config(Path file, PrunedModel pruned) throws IOException {
    if (!(JSON.readTree(file.toFile()) instanceof ObjectNode config)) {
      throw new UnsupportedModelException(file + " holds no JSON object");
    }
    Map<Structure, List<PrunedModel.Kept>> byStructure = new TreeMap<>();
    for (PrunedModel.Kept kept : pruned.blocks()) {
      byStructure.computeIfAbsent(kept.structure(), s -> new ArrayList<>()).add(kept);
    }
    byStructure.forEach((structure, blocks) -> put(config, file, structure, blocks));
    return config;
  }

  private static void put(
      ObjectNode config, Path file, Structure structure, List<PrunedModel.Kept> blocks) {
    List<Integer> left = blocks.stream().map(PrunedModel.Kept::after).distinct().toList();
    List<String> keys =
        KEYS.getOrDefault(structure, List.of()).stream().filter(config::has).toList();
    if (keys.isEmpty()) {
      throw cannotExpress(file, "it has no number of " + structure.label() + " to change");
    }
    if (left.size() > 1) {
      throw cannotExpress(
          file,
          "its '%s' holds for all layers, which have %s %s; cut them evenly"
              .formatted(keys.get(0), left, structure.label()));
    }
    config.put(keys.get(0), left.get(0));
  }

  private static UnsupportedModelException cannotExpress(Path file, String what) {
    return new UnsupportedModelException(
        "%s cannot express the pruned model: %s, or write it as ONNX".formatted(file, what));
  }

  /** The weights, layers numbered anew from 0. */
  private static Map<String, Tensor> weights(Graph graph) {
    TreeMap<Integer, Integer> layers = new TreeMap<>();
    for (String name : graph.initializers().keySet()) {
      Matcher layer = LAYER.matcher(name);
      if (layer.find()) {
        layers.put(Integer.valueOf(layer.group()), 0);
      }
    }
    int next = 0;
    for (Map.Entry<Integer, Integer> layer : layers.entrySet()) {
      layer.setValue(next++);
    }
    Map<String, Tensor> weights = new LinkedHashMap<>();
    graph
        .initializers()
        .forEach(
            (name, tensor) -> {
              if (!name.startsWith(Graph.CONSTANT)) {
                weights.put(
                    LAYER
                        .matcher(name)
                        .replaceFirst(m -> String.valueOf(layers.get(Integer.valueOf(m.group())))),
                    tensor);
              }
            });
    return weights;
  }

  private static void requireSame(Graph graph, Path folder, Path config) {
    PretrainedModel read;
    try {
      read = Checkpoints.open(folder);
    } catch (PeftException e) {
      throw cannotExpress(config, String.valueOf(e.getMessage()));
    }
    List<String> outputs = graph.outputs().stream().map(Value::name).toList();
    if (!read.graph().outputs().stream().map(Value::name).toList().containsAll(outputs)) {
      throw cannotExpress(
          config, "it says nothing of all the outputs %s".formatted(String.join(", ", outputs)));
    }
    Map<String, Tensor> probe = ProbeInputs.of(graph);
    double difference = OutputDifference.largest(run(graph, probe), run(read.graph(), probe));
    if (!(difference <= Removal.TOLERANCE)) {
      throw cannotExpress(config, "read again, its outputs differ by %.3g".formatted(difference));
    }
  }

  private static Map<String, Tensor> run(Graph graph, Map<String, Tensor> inputs) {
    try (Program program = TorchEngine.compile(graph, CompileOptions.evaluation())) {
      return program.run(inputs);
    }
  }
}

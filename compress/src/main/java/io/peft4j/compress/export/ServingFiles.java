package io.peft4j.compress.export;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Value;
import io.peft4j.task.Pooling;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Locale;

/**
 * What lies beside an exported text model so that DJL and DJL Serving load its folder as it is: the
 * tokenizer, {@code serving.properties} and {@code config.json} with the labels.
 */
public final class ServingFiles {
  private static final ObjectMapper JSON = new ObjectMapper();

  private static final String MODEL = "model";

  private ServingFiles() {}

  /**
   * Writes the files of a classifier.
   *
   * @param folder holds {@code model.onnx} already
   * @param graph of the model, whose first output are the scores
   * @param labels the classes in order
   * @param tokenizer the {@code tokenizer.json} of the model
   * @param maxLength tokens of a text at most
   */
  public static void textClassification(
      Path folder, Graph graph, List<String> labels, Path tokenizer, int maxLength)
      throws IOException {
    textClassification(folder, MODEL, graph, labels, tokenizer, maxLength);
  }

  /**
   * Writes the files of a classifier.
   *
   * @param name of the ONNX file in the folder, without its ending
   */
  public static void textClassification(
      Path folder, String name, Graph graph, List<String> labels, Path tokenizer, int maxLength)
      throws IOException {
    write(folder, name, graph, tokenizer, maxLength, "TextClassificationTranslatorFactory", "");
    labels(folder, labels);
  }

  /**
   * Writes the files of an encoder whose output {@code last_hidden_state} becomes one vector a
   * text, of length 1.
   *
   * @param pooling how the tokens' vectors become one
   */
  public static void textEmbedding(
      Path folder, Graph graph, Pooling pooling, Path tokenizer, int maxLength) throws IOException {
    String vector =
        "pooling=%s\nnormalize=true\n".formatted(pooling.name().toLowerCase(Locale.ROOT));
    write(folder, MODEL, graph, tokenizer, maxLength, "TextEmbeddingTranslatorFactory", vector);
  }

  private static void write(
      Path folder,
      String name,
      Graph graph,
      Path tokenizer,
      int maxLength,
      String factory,
      String more)
      throws IOException {
    Files.copy(tokenizer, folder.resolve("tokenizer.json"), StandardCopyOption.REPLACE_EXISTING);
    List<String> inputs = graph.inputs().stream().map(Value::name).toList();
    String properties =
        """
        engine=OnnxRuntime
        option.modelName=%s
        translatorFactory=ai.djl.huggingface.translator.%s
        includeTokenTypes=%s
        padding=true
        truncation=true
        maxLength=%d
        %s\
        """
            .formatted(name, factory, inputs.contains("token_type_ids"), maxLength, more);
    Files.writeString(folder.resolve("serving.properties"), properties);
  }

  /** Writes {@code config.json} with the names of the classes. */
  static void labels(Path folder, List<String> labels) throws IOException {
    ObjectNode config = JSON.createObjectNode();
    config.put("problem_type", "single_label_classification");
    ObjectNode names = config.putObject("id2label");
    ObjectNode ids = config.putObject("label2id");
    for (int i = 0; i < labels.size(); i++) {
      names.put(Integer.toString(i), labels.get(i));
      ids.put(labels.get(i), i);
    }
    JSON.writerWithDefaultPrettyPrinter()
        .writeValue(folder.resolve("config.json").toFile(), config);
  }
}

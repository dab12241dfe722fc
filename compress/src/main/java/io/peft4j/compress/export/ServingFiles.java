package io.peft4j.compress.export;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Value;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;

/**
 * What lies beside an exported text classifier so that DJL and DJL Serving load its folder as it
 * is: the tokenizer, {@code serving.properties} and {@code config.json} with the labels.
 */
public final class ServingFiles {
  private static final ObjectMapper JSON = new ObjectMapper();

  private ServingFiles() {}

  /**
   * Writes the files.
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
    Files.copy(tokenizer, folder.resolve("tokenizer.json"), StandardCopyOption.REPLACE_EXISTING);
    List<String> inputs = graph.inputs().stream().map(Value::name).toList();
    String properties =
        """
        engine=OnnxRuntime
        option.modelName=model
        translatorFactory=ai.djl.huggingface.translator.TextClassificationTranslatorFactory
        includeTokenTypes=%s
        padding=true
        truncation=true
        maxLength=%d
        """
            .formatted(inputs.contains("token_type_ids"), maxLength);
    Files.writeString(folder.resolve("serving.properties"), properties);
    JSON.writerWithDefaultPrettyPrinter()
        .writeValue(folder.resolve("config.json").toFile(), config(labels));
  }

  private static ObjectNode config(List<String> labels) {
    ObjectNode config = JSON.createObjectNode();
    config.put("problem_type", "single_label_classification");
    ObjectNode names = config.putObject("id2label");
    ObjectNode ids = config.putObject("label2id");
    for (int i = 0; i < labels.size(); i++) {
      names.put(Integer.toString(i), labels.get(i));
      ids.put(labels.get(i), i);
    }
    return config;
  }
}

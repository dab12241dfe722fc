package io.peft4j.compress.export;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.peft4j.CheckpointFormatException;
import io.peft4j.PretrainedModel;
import io.peft4j.Version;
import io.peft4j.format.Checkpoint;
import io.peft4j.format.ContentHash;
import io.peft4j.graph.Graph;
import io.peft4j.task.Metrics;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * The {@code README.md} of an exported model: what it is, where it comes from, what it was seen to
 * do, and what not to expect of it. What is not known is said to be so.
 *
 * @param model what was exported
 * @param graph as it was written
 * @param form the format and its kind, for example {@code ONNX, opset 17, float16}
 * @param maxLength tokens of a text at most; 0 for a model of something else
 * @param difference the largest output difference between the file and the model
 * @param judged quality of the written files; null if it was not measured
 */
record ModelCard(
    PretrainedModel model,
    Graph graph,
    String form,
    int maxLength,
    double difference,
    @Nullable Judged judged) {
  private static final ObjectMapper JSON = new ObjectMapper();

  /**
   * What the exported file scored.
   *
   * @param data the name of the file of rows
   */
  record Judged(String data, Metrics metrics) {}

  String text() {
    List<String> labels = model.checkpoint().labels();
    boolean scores = graph.outputs().stream().anyMatch(v -> v.name().equals("logits"));
    StringBuilder text = new StringBuilder();
    text.append("---\nlibrary_name: onnx\ntags: [peft4j]\n");
    text.append(
        maxLength == 0
            ? ""
            : "pipeline_tag: " + (scores ? "text-classification" : "feature-extraction") + "\n");
    text.append("---\n\n# ").append(name()).append("\n\n");
    line(text, "%s, %,d parameters.", form, graph.parameterCount());
    text.append("\n## Inputs and outputs\n\n");
    graph.inputs().stream()
        .filter(v -> !graph.initializers().containsKey(v.name()))
        .forEach(v -> line(text, "- in `%s`", v));
    graph.outputs().forEach(v -> line(text, "- out `%s`", v));
    text.append("\n## Metrics\n\n");
    metrics(text);
    text.append("\n## Intended use\n\n");
    use(text, scores, labels);
    text.append("\n## Limits\n\n");
    limits(text, scores, labels);
    text.append("\n## Provenance\n\n");
    provenance(text);
    return text.toString();
  }

  private String name() {
    return graph.name().isEmpty() ? "Model" : graph.name();
  }

  private void metrics(StringBuilder text) {
    line(
        text,
        "- largest output difference between this file in its runtime and the model in training, on"
            + " a probe batch: %.1e",
        difference);
    if (judged == null) {
      line(text, "- quality: not measured at export");
      return;
    }
    Metrics metrics = judged.metrics();
    line(
        text,
        "- accuracy %.4f, macro F1 %.4f, of this file on %d rows of `%s`",
        metrics.accuracy(),
        metrics.macroF1(),
        metrics.examples(),
        judged.data());
  }

  private void use(StringBuilder text, boolean scores, List<String> labels) {
    if (maxLength == 0) {
      line(text, "Inputs of the kind that the base model and its adapter were trained on.");
    } else if (scores) {
      line(
          text,
          "Texts of the kind it was trained on, sorted into %s.",
          labels.isEmpty()
              ? "classes that it does not name"
              : labels.size() + " classes: " + String.join(", ", labels));
    } else {
      line(text, "Vectors of texts, for search and comparison: pool the tokens' vectors.");
    }
  }

  private void limits(StringBuilder text, boolean scores, List<String> labels) {
    if (maxLength > 0) {
      line(text, "- What a text holds beyond %d tokens is not looked at.", maxLength);
    }
    if (scores && !labels.isEmpty()) {
      line(text, "- A text that belongs to none of the classes is put into one all the same.");
    }
    line(
        text,
        "- Nothing was measured on other data, languages or groups of people than named here.");
    line(text, "- The licence of the base model holds for this one; peft4j does not know it.");
  }

  private void provenance(StringBuilder text) {
    Checkpoint checkpoint = model.checkpoint();
    line(text, "- written by peft4j %s", Version.text());
    line(text, "- weights of the model, SHA-256: `%s`", ContentHash.of(model.graph()));
    String source = checkpoint.graph().metadata().get("peft4j.source_producer");
    if (source != null) {
      line(text, "- first exported by %s", source);
    }
    String noted = model.graph().metadata().get(Checkpoint.PROVENANCE_KEY);
    if (noted == null) {
      line(text, "- training: not noted in the model");
      return;
    }
    try {
      JsonNode notes = JSON.readTree(noted);
      notes.properties().forEach(e -> line(text, "- %s: %s", e.getKey(), e.getValue().asText()));
    } catch (JsonProcessingException e) {
      throw new CheckpointFormatException(
          checkpoint.source() + ": its metadata " + Checkpoint.PROVENANCE_KEY + " is no JSON", e);
    }
  }

  private static void line(StringBuilder text, String format, Object... values) {
    text.append(String.format(Locale.ROOT, format, values)).append('\n');
  }
}

package io.peft4j.adapters;

import com.fasterxml.jackson.databind.JsonNode;
import io.peft4j.Checkpoints;
import io.peft4j.PretrainedModel;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import java.nio.file.Path;
import java.util.Map;

/**
 * A graph as a true exporter wrote it, with the weights of the checkpoint that the golden adapters
 * were trained on: what exporting that checkpoint would have given.
 */
public final class ExportedBase {
  private static final Path ONNX = Path.of("../loaders/src/test/resources/onnx");

  /** {@code rms_norm_eps} of the exported llama; the checkpoint has {@link #EPSILON}. */
  private static final float EXPORTED_EPSILON = 1e-5f;

  private static final float EPSILON = 1e-6f;

  private ExportedBase() {}

  /**
   * @param export the folder of an ONNX file of the same architecture and sizes
   * @param checkpoint whose weights it shall have
   */
  public static PretrainedModel of(String export, PretrainedModel checkpoint) {
    Path folder = ONNX.resolve(export);
    Graph graph = Checkpoints.open(folder.resolve("model.onnx")).graph();
    GraphEditor editor = graph.edit();
    JsonNode names = MethodCase.json(folder.resolve("meta.json")).get("hf_names");
    names
        .properties()
        .forEach(
            entry -> {
              Tensor weight =
                  checkpoint.graph().initializer(entry.getValue().get("parameter").asText());
              editor.initializer(
                  entry.getKey(),
                  entry.getValue().get("transposed").asBoolean()
                      ? weight.transposed(1, 0)
                      : weight);
            });
    if (export.equals("llama")) {
      for (Node node : graph.nodes()) {
        if (node.attributes().get("value") instanceof Attribute.TensorValue held
            && held.value().size() == 1
            && held.value().dtype() == DType.FLOAT32
            && (float) held.value().item() == EXPORTED_EPSILON) {
          editor.replace(
              node, node.withAttributes(Map.of("value", Attribute.of(Tensor.scalar(EPSILON)))));
        }
      }
    }
    return PretrainedModel.of(editor.build());
  }
}

package io.peft4j.compress.quantize;

import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import java.util.List;
import java.util.Map;

/** Tables of vectors in int8: only the rows that were picked become float. */
final class EmbeddingRows {
  private EmbeddingRows() {}

  /** Puts pick, convert and scale in the place of a Gather. */
  static void replace(GraphEditor editor, Node gather, Int8Weights.Names table) {
    editor.removeNodes(gather::equals);
    String ids = gather.requiredInput(1);
    String rows = editor.node(gather.name() + "_rows", "Gather", List.of(table.values(), ids));
    String scales = editor.node(gather.name() + "_scales", "Gather", List.of(table.scale(), ids));
    String real =
        editor.node(
            gather.name() + "_cast",
            "Cast",
            List.of(rows),
            Map.of("to", Attribute.of((long) DType.FLOAT32.onnxCode())));
    editor.add(
        Node.of(
            gather.name() + "_dequant",
            "Mul",
            List.of(real, scales),
            List.of(gather.output()),
            Map.of()));
  }
}

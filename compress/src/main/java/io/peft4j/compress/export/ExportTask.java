package io.peft4j.compress.export;

import io.peft4j.graph.Graph;
import io.peft4j.graph.Value;
import io.peft4j.task.PooledHead;
import java.util.Locale;
import java.util.Map;

/** What an exported file is for. */
public enum ExportTask {
  /** All outputs in their order. */
  AS_IT_IS,
  /**
   * The tokens' vectors alone, under the name {@code last_hidden_state}: what LangChain4j's
   * OnnxEmbeddingModel (first output), Spring AI's TransformersEmbeddingModel (by name) and DJL's
   * TextEmbeddingTranslator take.
   */
  FEATURE_EXTRACTION;

  /** The name of the output of vectors. */
  public static final String VECTORS = "last_hidden_state";

  Graph apply(Graph graph) {
    if (this == AS_IT_IS) {
      return graph;
    }
    Value vectors = PooledHead.features(graph);
    Graph alone = graph.edit().clearOutputs().output(vectors).prune().build();
    return vectors.name().equals(VECTORS)
        ? alone
        : Names.rename(alone, Map.of(vectors.name(), VECTORS));
  }

  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }
}

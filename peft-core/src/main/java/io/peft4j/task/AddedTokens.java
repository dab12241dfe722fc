package io.peft4j.task;

import com.google.common.base.Splitter;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import java.util.List;

/**
 * Vectors that an adapter puts into the sequence of a model, noted in the graph's metadata: outputs
 * with a sequence are longer by them, heads pass over them, and there is nothing to predict there.
 *
 * @param position before which token of the text they stand
 * @param count how many
 */
public record AddedTokens(long position, long count) {
  private static final String KEY = "peft4j.virtual_tokens";

  /** What a graph notes; none if it notes nothing. */
  public static AddedTokens of(Graph graph) {
    String noted = graph.metadata().get(KEY);
    if (noted == null) {
      return new AddedTokens(0, 0);
    }
    List<String> parts = Splitter.on(',').splitToList(noted);
    return new AddedTokens(Long.parseLong(parts.get(0)), Long.parseLong(parts.get(1)));
  }

  /** Notes them. */
  public void note(GraphEditor editor) {
    editor.metadata(KEY, position + "," + count);
  }
}

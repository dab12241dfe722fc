package io.peft4j.adapters.compose;

import io.peft4j.PeftException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.graph.Graph;

/** A method that can attach together with others, as parts of one adapter. */
public interface ComposableMethod extends AdapterMethod {
  /**
   * Where a method stands among others on one model, from the outside of its layers to the inside:
   * what is further inside attaches later, so that what was attached before reads its results.
   */
  enum Depth {
    MODEL,
    LAYER,
    BLOCK,
    ATTENTION,
    LINEAR
  }

  Depth depth();

  /** Adds nodes and parameters. */
  void add(Attachment attachment);

  @Override
  default AttachedAdapter attach(Graph base, String adapter, long seed) {
    Attachment attachment = Attachment.begin(base, adapter, seed);
    add(attachment);
    return attachment.end(this, adapter);
  }

  @Override
  default Graph merge(AttachedAdapter adapter) {
    throw new PeftException(
        "%s adds modules that no weight of the model can take up, so it cannot be merged; keep the adapter apart, or export it unmerged"
            .formatted(name()));
  }
}

package io.peft4j.adapter;

import io.peft4j.graph.Graph;
import java.util.List;

/**
 * A way of adapting a model, with its settings: a record whose constructor checks them. A method is
 * a function from graph to graph: attaching adds nodes and trainable initializers under the
 * adapter's tag, merging folds them into the model's own weights.
 */
public interface AdapterMethod {
  /** The field's name of the method, for example {@code lora}. */
  String name();

  /**
   * The method with its texts turned into token ids, where it has any; called before it is attached
   * to a model that has a tokenizer. By default it stays as it is.
   */
  default AdapterMethod tokenized(TextIds ids) {
    return this;
  }

  /**
   * Attaches to a graph.
   *
   * @param base the model; what trains in it already is left as it is
   * @param adapter the name and tag of the adapter
   * @param seed decides the start values
   * @throws io.peft4j.PeftException if the targets match nothing, or something that the method
   *     cannot take
   */
  AttachedAdapter attach(Graph base, String adapter, long seed);

  /**
   * The base model with the adapter folded into its weights, computed in float64 and rounded once;
   * nothing of what attaching added is left.
   *
   * @param adapter what {@link #attach} gave, its graph with present values
   * @throws io.peft4j.PeftException if the method cannot be merged; the message says why
   */
  Graph merge(AttachedAdapter adapter);

  /**
   * The adapter with a start that depends on data; called once when training begins. By default it
   * stays as it is.
   *
   * @param adapter what {@link #attach} gave, with a head where one was added
   */
  default AttachedAdapter started(AttachedAdapter adapter, DataProbe probe) {
    return adapter;
  }

  /** What a user should know before it is trained, a sentence each; nothing by default. */
  default List<String> notes() {
    return List.of();
  }

  /**
   * By how much a trained tensor learns faster than the recipe says.
   *
   * @param graph the adapted model
   */
  default double learningRateFactor(AdapterTensor tensor, Graph graph) {
    return 1;
  }
}

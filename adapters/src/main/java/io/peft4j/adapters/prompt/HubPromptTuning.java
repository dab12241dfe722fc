package io.peft4j.adapters.prompt;

import io.peft4j.RecipeException;
import io.peft4j.adapters.compose.Attachment;
import io.peft4j.adapters.compose.ComposableMethod;
import io.peft4j.adapters.compose.TransformerLayer;
import io.peft4j.graph.DType;
import io.peft4j.task.AddedTokens;

/**
 * Prompt tuning (Lester et al. 2021, arXiv 2104.08691) as AdapterHub has it: trained vectors
 * between the embeddings, positions included, and the first layer. All outputs of the model that
 * have a sequence are longer by them.
 *
 * @param length how many
 * @param afterFirst whether they come behind the first token rather than before it
 */
public record HubPromptTuning(int length, boolean afterFirst) implements ComposableMethod {
  private static final double BOUND = 0.5;

  public HubPromptTuning {
    if (length < 1) {
      throw new RecipeException("prompt_length must be at least 1, was " + length);
    }
  }

  @Override
  public String name() {
    return "hub-prompt-tuning";
  }

  @Override
  public Depth depth() {
    return Depth.MODEL;
  }

  @Override
  public void add(Attachment at) {
    int hidden = at.hiddenSize();
    String prompt =
        at.parameter(
            at.names().model(),
            "prompt_tuning.prompt_tunings." + at.adapter() + ".prompt_embedding.weight",
            at.uniform(BOUND, length, hidden));
    String scope = "prompt_tuning." + at.adapter();
    DType dtype = at.layers().get(0).attention().query().dtype();
    String embeddings = at.embeddings();
    at.target("embeddings");
    at.mark();
    String spread =
        at.forEachRow(scope, at.narrow(scope, prompt, dtype), embeddings, length, hidden);
    String joined =
        afterFirst
            ? at.joined(
                scope,
                1,
                at.slice(scope, embeddings, 1, 0, 1),
                spread,
                at.slice(scope, embeddings, 1, 1, Integer.MAX_VALUE))
            : at.joined(scope, 1, spread, embeddings);
    at.rewire(embeddings, joined);
    new AddedTokens(afterFirst ? 1 : 0, length).note(at.editor());
    new LongerShapes(at, length).behind(embeddings);
    PrefixedAttention attention = new PrefixedAttention(at, length);
    for (TransformerLayer layer : at.layers()) {
      attention.coverRows(layer.attention(), scope);
    }
  }
}

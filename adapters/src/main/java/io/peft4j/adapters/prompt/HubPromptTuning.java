package io.peft4j.adapters.prompt;

import io.peft4j.RecipeException;
import io.peft4j.adapters.compose.Attachment;
import io.peft4j.adapters.compose.ComposableMethod;
import io.peft4j.adapters.compose.TransformerLayer;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import io.peft4j.task.AddedTokens;
import java.util.Map;
import java.util.SplittableRandom;

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
    SplittableRandom random = at.random().split();
    float[] start = new float[length * hidden];
    for (int i = 0; i < start.length; i++) {
      start[i] = (float) random.nextDouble(-BOUND, BOUND);
    }
    String prompt =
        at.parameter(
            at.names().model(),
            "prompt_tuning.prompt_tunings." + at.adapter() + ".prompt_embedding.weight",
            Tensor.ofFloats(new long[] {length, hidden}, start));
    String scope = "prompt_tuning." + at.adapter();
    DType dtype = at.layers().get(0).attention().query().dtype();
    String embeddings = at.embeddings();
    at.target("embeddings");
    at.mark();
    Map<String, Attribute> first = Map.of("start", Attribute.of(0L), "end", Attribute.of(1L));
    String rows = at.node(scope, "Shape", first, embeddings);
    String sizes = at.constant(scope + ".sizes", Tensor.vector(length, hidden));
    String shape = at.node(scope, "Concat", Map.of("axis", Attribute.of(0L)), rows, sizes);
    String spread = at.node(scope, "Expand", at.narrow(scope, prompt, dtype), shape);
    String joined =
        afterFirst
            ? joined(
                at,
                scope,
                slice(at, scope, embeddings, 0, 1),
                spread,
                slice(at, scope, embeddings, 1, Integer.MAX_VALUE))
            : joined(at, scope, spread, embeddings);
    at.rewire(embeddings, joined);
    new AddedTokens(afterFirst ? 1 : 0, length).note(at.editor());
    PrefixedAttention attention = new PrefixedAttention(at, length);
    for (TransformerLayer layer : at.layers()) {
      attention.coverRows(layer.attention(), scope);
    }
  }

  private static String joined(Attachment at, String scope, String... parts) {
    return at.node(scope, "Concat", Map.of("axis", Attribute.of(1L)), parts);
  }

  private static String slice(Attachment at, String scope, String x, int from, int to) {
    return at.node(
        scope,
        "Slice",
        x,
        at.constant(scope + ".from", Tensor.vector(from)),
        at.constant(scope + ".to", Tensor.vector(to)),
        at.constant(scope + ".axis", Tensor.vector(1)));
  }
}

package io.peft4j.adapters.prompt;

import io.peft4j.UnsupportedModelException;
import io.peft4j.adapters.compose.Attachment;
import io.peft4j.adapters.compose.ComposableMethod;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import io.peft4j.site.AttentionSite;
import io.peft4j.site.LinearSite;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * LLaMA-Adapter (Zhang et al., ICLR 2024, arXiv 2303.16199): the upper attentions also look at a
 * trained prompt, softmax(q kᵀ / √d) v · gate, with k and v of the prompt by the layer's own
 * projections, without a position. The sum goes through the layer's output projection; where one
 * layer makes queries, keys and values, it is added behind that, as in PEFT. The gate starts at
 * zero, so that the model starts unchanged.
 *
 * @param adapterLen vectors of a prompt
 * @param adapterLayers how many layers, from the top
 * @param module the last part of the attentions' paths; empty for all attentions
 */
public record AdaptionPrompt(int adapterLen, int adapterLayers, String module)
    implements ComposableMethod {
  private static final String SCOPE = "adaption";

  public AdaptionPrompt {
    Checks.atLeast("adapterLen", adapterLen, 1);
    Checks.atLeast("adapterLayers", adapterLayers, 1);
  }

  /** Prompts of a length in so many of the upper layers. */
  public static AdaptionPrompt of(int adapterLen, int adapterLayers) {
    return new AdaptionPrompt(adapterLen, adapterLayers, "");
  }

  @Override
  public String name() {
    return "adaption-prompt";
  }

  @Override
  public Depth depth() {
    return Depth.ATTENTION;
  }

  @Override
  public void add(Attachment at) {
    List<AttentionSite> all =
        at.sites().attentions().stream().filter(a -> a.path().endsWith("." + module)).toList();
    if (module.isEmpty()) {
      all = at.sites().attentions();
    }
    if (all.size() < adapterLayers) {
      throw new UnsupportedModelException(
          "adaption-prompt is to change %d attentions%s, but this model has %d; give fewer adapter_layers"
              .formatted(adapterLayers, module.isEmpty() ? "" : " '" + module + "'", all.size()));
    }
    for (int i = all.size() - 1; i >= all.size() - adapterLayers; i--) {
      add(at, all.get(i));
      at.target(all.get(i).path());
    }
  }

  private void add(Attachment at, AttentionSite site) {
    LinearSite out = site.output();
    boolean fused = site.query().equals(site.key());
    int width = AttentionHeads.of(at.view(), site).width();
    int parts = fused ? 3 : 1;
    long asked = site.query().outFeatures() / parts / width;
    AttentionCore.Passage queries = AttentionCore.of(at.folded(), site).queries();
    at.mark();
    String prompt = at.parameter(site.path(), "adaption_prompt", start(at, site));
    String gate = at.parameter(site.path(), "adaption_gate", Tensor.zeros(DType.FLOAT32, 1));
    String k = projected(at, site.key(), prompt, width, asked, fused ? 1 : -1);
    String v = projected(at, site.value(), prompt, width, asked, fused ? 2 : -1);
    long[] order = queries.order().stream().mapToLong(axis -> axis).toArray();
    String q =
        PromptParts.transposed(
            at, SCOPE, at.wide(SCOPE, queries.value(), site.query().dtype()), order);
    String turned = PromptParts.transposed(at, SCOPE, k, 0, 1, 3, 2);
    String scores =
        at.node(
            SCOPE,
            "Mul",
            at.node(SCOPE, "MatMul", q, turned),
            at.number(SCOPE + ".scale", 1 / Math.sqrt(width)));
    String weights = at.node(SCOPE, "Softmax", Map.of("axis", Attribute.of(-1L)), scores);
    String seen = at.node(SCOPE, "MatMul", at.node(SCOPE, "Mul", weights, gate), v);
    // [batch, heads, sequence, width] as the attention's own sum lies
    String laid = PromptParts.transposed(at, SCOPE, seen, 0, 2, 1, 3);
    String sum = fused ? out.output() : at.input(out);
    String shaped = at.node(SCOPE, "Reshape", laid, at.node(SCOPE, "Shape", sum));
    at.rewire(sum, at.node(SCOPE, "Add", sum, at.narrow(SCOPE, shaped, out.dtype())));
  }

  private Tensor start(Attachment at, AttentionSite site) {
    int size = Math.toIntExact(site.key().inFeatures());
    float[] values = new float[adapterLen * size];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) at.random().nextGaussian();
    }
    return Tensor.ofFloats(new long[] {1, adapterLen, size}, values);
  }

  /**
   * Keys or values of the prompt, [1, query heads, length, width].
   *
   * @param part which third of the layer's output; -1 for the whole
   */
  private String projected(
      Attachment at, LinearSite layer, String prompt, int width, long asked, int part) {
    String weight = wide(at, layer.weight());
    String bias = layer.bias() == null ? null : wide(at, layer.bias());
    String made = product(at, layer, prompt, weight, bias);
    long size = layer.outFeatures();
    if (part >= 0) {
      size /= 3;
      made =
          at.node(
              SCOPE,
              "Slice",
              made,
              at.constant(SCOPE + ".start", Tensor.vector(part * size)),
              at.constant(SCOPE + ".end", Tensor.vector((part + 1) * size)),
              at.constant(SCOPE + ".axis", Tensor.vector(2)));
    }
    long own = size / width;
    String apart = PromptParts.reshaped(at, SCOPE, made, 1, adapterLen, own, width);
    String heads = PromptParts.transposed(at, SCOPE, apart, 0, 2, 1, 3);
    return PromptParts.repeatedHeads(at, SCOPE, heads, own, adapterLen, width, asked / own);
  }

  private static String product(
      Attachment at, LinearSite layer, String x, String weight, @Nullable String bias) {
    if (!layer.inFirst()) {
      return at.linear(SCOPE, x, weight, bias);
    }
    String product = at.node(SCOPE, "MatMul", x, weight);
    return bias == null ? product : at.node(SCOPE, "Add", product, bias);
  }

  private static String wide(Attachment at, String initializer) {
    return at.wide(SCOPE, initializer, at.view().graph().initializer(initializer).dtype());
  }
}

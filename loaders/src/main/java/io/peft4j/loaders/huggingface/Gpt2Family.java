package io.peft4j.loaders.huggingface;

import io.peft4j.graph.DType;
import java.util.List;
import java.util.regex.Pattern;

/** GPT-2: a pre-norm decoder with learned absolute positions and weights that lie [in, out]. */
final class Gpt2Family implements FamilyBuilder {
  private static final String BASE = "GPT2Model";
  private static final String LANGUAGE_MODEL = "GPT2LMHeadModel";
  private static final Pattern BUFFER = Pattern.compile("(.*\\.)?attn\\.(bias|masked_bias)");

  @Override
  public String modelType() {
    return "gpt2";
  }

  @Override
  public List<String> architectures() {
    return List.of(BASE, LANGUAGE_MODEL, "GPT2ForSequenceClassification");
  }

  @Override
  public String basePrefix() {
    return "transformer.";
  }

  @Override
  public boolean isBuffer(String name) {
    return BUFFER.matcher(name).matches();
  }

  @Override
  public String untiedHead() {
    return DecoderHeads.LANGUAGE_MODEL + ".weight";
  }

  @Override
  public void build(ModelConfig config, String architecture, GraphBlocks blocks) {
    Decoder decoder = new Decoder(config, blocks, architecture.equals(BASE) ? "" : "transformer");
    String hidden = decoder.build();
    DecoderHeads heads = new DecoderHeads(config, blocks, decoder.hidden);
    boolean tied = config.flag("tie_word_embeddings", true);
    if (architecture.equals(LANGUAGE_MODEL)) {
      heads.languageModel(
          hidden, decoder.vocabulary, tied ? decoder.path("wte") : DecoderHeads.LANGUAGE_MODEL);
    } else if (!architecture.equals(BASE)) {
      heads.classifier(hidden);
    }
    heads.lastHiddenState(hidden);
  }

  /** The decoder under one prefix, with the sizes of its configuration. */
  private static final class Decoder {
    private final GraphBlocks blocks;
    private final AttentionBlocks attention;
    private final String root;
    private final int vocabulary;
    private final int hidden;
    private final int layers;
    private final int heads;
    private final int inner;
    private final int positions;
    private final String activation;
    private final double embeddingDropout;
    private final double attentionDropout;
    private final double residualDropout;
    private final double epsilon;
    private final boolean scaled;
    private final boolean scaledByLayer;

    Decoder(ModelConfig config, GraphBlocks blocks, String root) {
      this.blocks = blocks;
      this.attention = new AttentionBlocks(blocks);
      this.root = root;
      vocabulary = config.count("vocab_size", 50257);
      hidden = config.count("n_embd", 768);
      layers = config.count("n_layer", 12);
      heads = config.divisor("n_head", 12, hidden);
      inner = config.count("n_inner", 4 * hidden);
      positions = config.count("n_positions", 1024);
      activation = config.choice("activation_function", "gelu_new", Activations.NAMES);
      embeddingDropout = config.probability("embd_pdrop", 0.1);
      attentionDropout = config.probability("attn_pdrop", 0.1);
      residualDropout = config.probability("resid_pdrop", 0.1);
      epsilon = config.number("layer_norm_epsilon", 1e-5);
      scaled = config.flag("scale_attn_weights", true);
      scaledByLayer = config.flag("scale_attn_by_inverse_layer_idx", false);
      config.mustBeOff(
          "add_cross_attention", "is_encoder_decoder", "pruned_heads", "reorder_and_upcast_attn");
      // Read by the double-heads model alone, or by nothing.
      config.harmless(
          "is_decoder",
          "n_ctx",
          "summary_activation",
          "summary_first_dropout",
          "summary_proj_to_labels",
          "summary_type",
          "summary_use_proj");
    }

    private String path(String module) {
      return root.isEmpty() ? module : root + "." + module;
    }

    String build() {
      String ids = blocks.input("input_ids", DType.INT64, "batch", "sequence");
      String mask = blocks.input("attention_mask", DType.INT64, "batch", "sequence");
      String seen = attention.causalMask(root, mask, null);
      String x = embeddings(ids);
      for (int i = 0; i < layers; i++) {
        x = layer(path("h." + i), i, state(i, x), seen);
      }
      return state(layers, blocks.layerNorm(path("ln_f"), x, hidden, epsilon));
    }

    private String state(int number, String x) {
      return blocks.hiddenState(number, x, "batch", "sequence", hidden);
    }

    private String embeddings(String ids) {
      String words = blocks.embedding(path("wte"), ids, vocabulary, hidden);
      String numbers = blocks.positions(path("wpe"), ids);
      String places = blocks.embedding(path("wpe"), numbers, positions, hidden);
      String x = blocks.node(root, "Add", words, places);
      return blocks.dropout(path("drop"), x, embeddingDropout);
    }

    private String layer(String module, int number, String x, String seen) {
      String normalised = blocks.layerNorm(module + ".ln_1", x, hidden, epsilon);
      String attended = attention(module + ".attn", number, normalised, seen);
      String middle = blocks.node(module, "Add", attended, x);
      normalised = blocks.layerNorm(module + ".ln_2", middle, hidden, epsilon);
      return blocks.node(module, "Add", middle, feedForward(module + ".mlp", normalised));
    }

    private String attention(String module, int number, String x, String seen) {
      String together = blocks.conv1d(module + ".c_attn", x, hidden, 3L * hidden);
      List<String> parts = blocks.split(module, together, hidden, 3);
      int width = hidden / heads;
      double divisor = (scaled ? Math.sqrt(width) : 1) * (scaledByLayer ? number + 1 : 1);
      String context =
          attention.context(
              module,
              attention.splitHeads(module, parts.get(0), heads, width),
              attention.splitHeads(module, parts.get(1), heads, width),
              attention.splitHeads(module, parts.get(2), heads, width),
              divisor,
              seen,
              attentionDropout);
      String merged = attention.mergeHeads(module, context, hidden);
      String y = blocks.conv1d(module + ".c_proj", merged, hidden, hidden);
      return blocks.dropout(module + ".resid_dropout", y, residualDropout);
    }

    private String feedForward(String module, String x) {
      String up = blocks.conv1d(module + ".c_fc", x, hidden, inner);
      up = Activations.add(blocks, module + ".act", up, activation);
      String down = blocks.conv1d(module + ".c_proj", up, inner, hidden);
      return blocks.dropout(module + ".dropout", down, residualDropout);
    }
  }
}

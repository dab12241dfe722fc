package io.peft4j.loaders.huggingface;

import io.peft4j.graph.DType;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Llama and its kin: a pre-norm decoder with RMS norms, rotary positions, grouped-query attention
 * and a gated feed-forward block.
 */
final class LlamaFamily implements FamilyBuilder {
  private final LlamaKind kind;

  LlamaFamily(LlamaKind kind) {
    this.kind = kind;
  }

  @Override
  public String modelType() {
    return kind.modelType();
  }

  @Override
  public List<String> architectures() {
    return List.of(base(), languageModel(), kind.classes() + "ForSequenceClassification");
  }

  private String base() {
    return kind.classes() + "Model";
  }

  private String languageModel() {
    return kind.classes() + "ForCausalLM";
  }

  @Override
  public String basePrefix() {
    return "model.";
  }

  @Override
  public boolean isBuffer(String name) {
    return name.endsWith("rotary_emb.inv_freq");
  }

  @Override
  public String untiedHead() {
    return DecoderHeads.LANGUAGE_MODEL + ".weight";
  }

  @Override
  public void build(ModelConfig config, String architecture, GraphBlocks blocks) {
    String root = architecture.equals(base()) ? "" : "model";
    Decoder decoder = new Decoder(kind, config, blocks, root);
    String hidden = decoder.build();
    DecoderHeads heads = new DecoderHeads(config, blocks, decoder.hidden);
    boolean tied = config.flag("tie_word_embeddings", false);
    if (architecture.equals(languageModel())) {
      String table = tied ? decoder.path("embed_tokens") : DecoderHeads.LANGUAGE_MODEL;
      heads.languageModel(hidden, decoder.vocabulary, table);
    } else if (!architecture.equals(base())) {
      heads.classifier(hidden);
    }
    heads.lastHiddenState(hidden);
  }

  /** The decoder under one prefix, with the sizes of its configuration. */
  private static final class Decoder {
    private final GraphBlocks blocks;
    private final AttentionBlocks attention;
    private final RotaryEmbedding rotary;
    private final String root;
    private final int vocabulary;
    private final int hidden;
    private final int layers;
    private final int heads;
    private final int keyHeads;
    private final int width;
    private final int inner;
    private final String activation;
    private final double attentionDropout;
    private final double epsilon;
    private final boolean queryBias;
    private final boolean outputBias;
    private final boolean feedForwardBias;
    private final boolean headNorms;
    private final @Nullable Integer window;

    Decoder(LlamaKind kind, ModelConfig config, GraphBlocks blocks, String root) {
      this.blocks = blocks;
      this.attention = new AttentionBlocks(blocks);
      this.root = root;
      vocabulary = config.count("vocab_size", kind.vocabulary());
      hidden = config.count("hidden_size", 4096);
      layers = config.count("num_hidden_layers", 32);
      heads = config.count("num_attention_heads", 32);
      keyHeads =
          config.divisor(
              "num_key_value_heads", kind.keyHeads() == 0 ? heads : kind.keyHeads(), heads);
      width =
          config.isSet("head_dim") || kind.headSize() > 0
              ? config.count("head_dim", kind.headSize())
              : hidden / config.divisor("num_attention_heads", 32, hidden);
      inner = config.count("intermediate_size", kind.inner());
      activation = config.choice("hidden_act", "silu", Activations.NAMES);
      attentionDropout = config.probability("attention_dropout", 0);
      epsilon = config.number("rms_norm_eps", 1e-6);
      // The other kinds know no such switch, so that the key stops the import there.
      outputBias = kind.attentionBiasSwitch() && config.flag("attention_bias", false);
      queryBias = kind.queryBias() || outputBias;
      feedForwardBias = kind.feedForwardBiasSwitch() && config.flag("mlp_bias", false);
      headNorms = kind.headNorms();
      window = kind.window() == 0 ? null : window(config, kind.window());
      rotary = RotaryEmbedding.of(config, blocks, path("rotary_emb"), width);
      config.mustBeOff("is_encoder_decoder", "add_cross_attention");
      config.everyItem(
          "layer_types", Set.of(window == null ? "full_attention" : "sliding_attention"));
      config.harmless("is_decoder", "pretraining_tp");
      if (kind.windowSwitch()) {
        config.mustBeOff("use_sliding_window");
        config.harmless("sliding_window", "max_window_layers"); // read only where that is on
      }
    }

    /** How many tokens are seen; null for all, which the configuration says by a null. */
    private static @Nullable Integer window(ModelConfig config, int absent) {
      boolean all = config.has("sliding_window") && !config.isSet("sliding_window");
      return all ? null : (Integer) config.count("sliding_window", absent);
    }

    private String path(String module) {
      return root.isEmpty() ? module : root + "." + module;
    }

    String build() {
      String ids = blocks.input("input_ids", DType.INT64, "batch", "sequence");
      String mask = blocks.input("attention_mask", DType.INT64, "batch", "sequence");
      String seen = attention.causalMask(root, mask, window);
      rotary.prepare(ids);
      String x = blocks.embedding(path("embed_tokens"), ids, vocabulary, hidden);
      for (int i = 0; i < layers; i++) {
        x = layer(path("layers." + i), state(i, x), seen);
      }
      return state(layers, blocks.rmsNorm(path("norm"), x, hidden, epsilon));
    }

    private String state(int number, String x) {
      return blocks.hiddenState(number, x, "batch", "sequence", hidden);
    }

    private String layer(String module, String x, String seen) {
      String normalised = blocks.rmsNorm(module + ".input_layernorm", x, hidden, epsilon);
      String attended = attention(module + ".self_attn", normalised, seen);
      String middle = blocks.node(module, "Add", x, attended);
      normalised = blocks.rmsNorm(module + ".post_attention_layernorm", middle, hidden, epsilon);
      return blocks.node(module, "Add", middle, feedForward(module + ".mlp", normalised));
    }

    private String attention(String module, String x, String seen) {
      String query = heads(module, "q_proj", "q_norm", x, heads);
      String key = heads(module, "k_proj", "k_norm", x, keyHeads);
      String value = linear(module + ".v_proj", x, hidden, (long) keyHeads * width, queryBias);
      value = attention.splitHeads(module, value, keyHeads, width);
      int times = heads / keyHeads;
      String context =
          attention.context(
              module,
              query,
              attention.repeatHeads(module, key, times, heads, width),
              attention.repeatHeads(module, value, times, heads, width),
              Math.sqrt(width),
              seen,
              attentionDropout);
      long size = (long) heads * width;
      String merged = attention.mergeHeads(module, context, size);
      return linear(module + ".o_proj", merged, size, hidden, outputBias);
    }

    /** Queries or keys with their positions: [batch, sequence, hidden] to heads. */
    private String heads(String module, String layer, String norm, String x, int count) {
      String y = linear(module + "." + layer, x, hidden, (long) count * width, queryBias);
      y = attention.splitHeads(module, y, count, width);
      if (headNorms) {
        y = blocks.rmsNorm(module + "." + norm, y, width, epsilon);
      }
      return rotary.turn(module, y);
    }

    private String feedForward(String module, String x) {
      String gate = linear(module + ".gate_proj", x, hidden, inner, feedForwardBias);
      String up = linear(module + ".up_proj", x, hidden, inner, feedForwardBias);
      gate = Activations.add(blocks, module + ".act_fn", gate, activation);
      String product = blocks.node(module, "Mul", gate, up);
      return linear(module + ".down_proj", product, inner, hidden, feedForwardBias);
    }

    private String linear(String module, String x, long in, long out, boolean bias) {
      return bias ? blocks.linear(module, x, in, out) : blocks.product(module, x, in, out);
    }
  }
}

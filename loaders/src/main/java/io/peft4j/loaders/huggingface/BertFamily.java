package io.peft4j.loaders.huggingface;

import io.peft4j.graph.DType;
import java.util.List;
import java.util.Set;

/** BERT: a post-norm encoder with learned absolute positions. */
final class BertFamily implements FamilyBuilder {
  private static final String BATCH = "batch";
  private static final String SEQUENCE = "sequence";

  @Override
  public String modelType() {
    return "bert";
  }

  @Override
  public List<String> architectures() {
    return List.of("BertModel", "BertForSequenceClassification", "BertForTokenClassification");
  }

  @Override
  public String basePrefix() {
    return "bert.";
  }

  @Override
  public void build(ModelConfig config, String architecture, GraphBlocks blocks) {
    Encoder encoder = new Encoder(config, blocks, architecture.equals("BertModel") ? "" : "bert");
    String hidden = encoder.build();
    boolean tokens = architecture.equals("BertForTokenClassification");
    boolean pools = !tokens && (!encoder.root.isEmpty() || encoder.hasPooler());
    String pooled = pools ? encoder.pooler(hidden) : hidden;
    if (!architecture.equals("BertModel")) {
      int labels = config.labelCount();
      String x = blocks.dropout("dropout", pooled, encoder.classifierDropout);
      x = blocks.linear("classifier", x, encoder.hidden, labels);
      if (tokens) {
        blocks.output("logits", x, BATCH, SEQUENCE, labels);
      } else {
        blocks.output("logits", x, BATCH, labels);
      }
    }
    blocks.output("last_hidden_state", hidden, BATCH, SEQUENCE, encoder.hidden);
    if (pools) {
      blocks.output("pooler_output", pooled, BATCH, encoder.hidden);
    }
  }

  /** The encoder under one prefix, with the sizes of its configuration. */
  private static final class Encoder {
    private final GraphBlocks blocks;
    private final AttentionBlocks attention;
    private final String root;
    private final int vocabulary;
    private final int hidden;
    private final int layers;
    private final int heads;
    private final int inner;
    private final int positions;
    private final int types;
    private final String activation;
    private final double dropout;
    private final double attentionDropout;
    private final double classifierDropout;
    private final double epsilon;

    Encoder(ModelConfig config, GraphBlocks blocks, String root) {
      this.blocks = blocks;
      this.attention = new AttentionBlocks(blocks);
      this.root = root;
      vocabulary = config.count("vocab_size", 30522);
      hidden = config.count("hidden_size", 768);
      layers = config.count("num_hidden_layers", 12);
      heads = config.divisor("num_attention_heads", 12, hidden);
      inner = config.count("intermediate_size", 3072);
      positions = config.count("max_position_embeddings", 512);
      types = config.count("type_vocab_size", 2);
      activation = config.choice("hidden_act", "gelu", Activations.NAMES);
      dropout = config.probability("hidden_dropout_prob", 0.1);
      attentionDropout = config.probability("attention_probs_dropout_prob", 0.1);
      classifierDropout = config.probability("classifier_dropout", dropout);
      epsilon = config.number("layer_norm_eps", 1e-12);
      config.choice("position_embedding_type", "absolute", Set.of("absolute"));
      config.mustBeOff("is_decoder", "add_cross_attention", "is_encoder_decoder", "pruned_heads");
      // Read by nothing in the reference library, or by heads and decoders that are not built.
      config.harmless(
          "cross_attention_hidden_size",
          "decoder_start_token_id",
          "directionality",
          "pooler_fc_size",
          "pooler_num_attention_heads",
          "pooler_num_fc_layers",
          "pooler_size_per_head",
          "pooler_type",
          "tie_encoder_decoder",
          "tie_word_embeddings");
    }

    private String path(String module) {
      return root.isEmpty() ? module : root + "." + module;
    }

    String build() {
      String ids = blocks.input("input_ids", DType.INT64, BATCH, SEQUENCE);
      String mask = blocks.input("attention_mask", DType.INT64, BATCH, SEQUENCE);
      String segments = blocks.input("token_type_ids", DType.INT64, BATCH, SEQUENCE);
      String padding = attention.paddingMask(root, mask);
      String x = state(0, embeddings(ids, segments));
      for (int i = 0; i < layers; i++) {
        x = state(i + 1, layer(path("encoder.layer." + i), x, padding));
      }
      return x;
    }

    private String state(int number, String x) {
      return blocks.hiddenState(number, x, BATCH, SEQUENCE, hidden);
    }

    private String embeddings(String ids, String segments) {
      String module = path("embeddings");
      String words = blocks.embedding(module + ".word_embeddings", ids, vocabulary, hidden);
      String kinds = blocks.embedding(module + ".token_type_embeddings", segments, types, hidden);
      String table = module + ".position_embeddings";
      String numbers = blocks.positions(table, ids);
      String places = blocks.embedding(table, numbers, positions, hidden);
      String x = blocks.node(module, "Add", blocks.node(module, "Add", words, kinds), places);
      x = blocks.layerNorm(module + ".LayerNorm", x, hidden, epsilon);
      return blocks.dropout(module + ".dropout", x, dropout);
    }

    private String layer(String module, String x, String mask) {
      String attended = attention(module + ".attention", x, mask);
      String up = blocks.linear(module + ".intermediate.dense", attended, hidden, inner);
      up = Activations.add(blocks, module + ".intermediate.intermediate_act_fn", up, activation);
      return residual(module + ".output", up, attended, inner);
    }

    private String attention(String module, String x, String mask) {
      String self = module + ".self";
      int width = hidden / heads;
      String query = split(self, blocks.linear(self + ".query", x, hidden, hidden));
      String key = split(self, blocks.linear(self + ".key", x, hidden, hidden));
      String value = split(self, blocks.linear(self + ".value", x, hidden, hidden));
      String context =
          attention.context(self, query, key, value, Math.sqrt(width), mask, attentionDropout);
      String merged = attention.mergeHeads(self, context, hidden);
      return residual(module + ".output", merged, x, hidden);
    }

    private String split(String module, String x) {
      return attention.splitHeads(module, x, heads, hidden / heads);
    }

    /** LayerNorm(dropout(dense(x)) + base). */
    private String residual(String module, String x, String base, int in) {
      String y = blocks.linear(module + ".dense", x, in, hidden);
      y = blocks.dropout(module + ".dropout", y, dropout);
      y = blocks.node(module, "Add", y, base);
      return blocks.layerNorm(module + ".LayerNorm", y, hidden, epsilon);
    }

    /** Whether the file has a pooler, which a bare encoder may do without. */
    boolean hasPooler() {
      return blocks.weights().has(path("pooler.dense.weight"));
    }

    /** tanh(dense(first token)); [batch, sequence, hidden] to [batch, hidden]. */
    String pooler(String x) {
      String module = path("pooler");
      String first = blocks.firstToken(module, x);
      String dense = blocks.linear(module + ".dense", first, hidden, hidden);
      return blocks.node(module + ".activation", "Tanh", dense);
    }
  }
}

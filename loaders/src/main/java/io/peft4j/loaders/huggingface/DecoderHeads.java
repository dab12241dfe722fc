package io.peft4j.loaders.huggingface;

import io.peft4j.UnsupportedModelException;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import java.util.Map;

/** What stands on the last state of a decoder, [batch, sequence, hidden]. */
final class DecoderHeads {
  /** The path of the layer that scores the next token. */
  static final String LANGUAGE_MODEL = "lm_head";

  private final ModelConfig config;
  private final GraphBlocks blocks;
  private final int hidden;

  DecoderHeads(ModelConfig config, GraphBlocks blocks, int hidden) {
    this.config = config;
    this.blocks = blocks;
    this.hidden = hidden;
  }

  /** The state itself, as every form of a decoder gives it. */
  void lastHiddenState(String state) {
    blocks.output("last_hidden_state", state, "batch", "sequence", hidden);
  }

  /**
   * Scores of the next token, without a bias.
   *
   * @param table the module whose weight the scores are made with: {@code lm_head}, or that of the
   *     word embeddings where the two are tied
   */
  void languageModel(String state, int vocabulary, String table) {
    String weight = blocks.weight(table, "weight", vocabulary, hidden);
    String scores = blocks.product(LANGUAGE_MODEL, state, weight);
    blocks.output("logits", scores, "batch", "sequence", vocabulary);
  }

  /**
   * Scores of classes, without a bias, from the last token that is not {@code pad_token_id}; from
   * the first where a row holds nothing else.
   */
  void classifier(String state) {
    if (!config.isSet("pad_token_id")) {
      throw new UnsupportedModelException(
          config.file()
              + ": pad_token_id is missing, by which a classifier finds the last token of a row;"
              + " add the id that the tokenizer pads with");
    }
    Tensor padding = Tensor.scalar(config.integer("pad_token_id", 0));
    String ids = "input_ids";
    String same = blocks.node("", "Equal", ids, blocks.constant("", "pad_token_id", padding));
    Map<String, Attribute> toLong = Map.of("to", Attribute.of(DType.INT64.onnxCode()));
    String real = blocks.node("", "Cast", toLong, blocks.node("", "Not", same));
    String numbers = blocks.node("", "Mul", real, blocks.positions("", ids));
    String axis = blocks.constant("", "token_axis", Tensor.vector(1));
    String last = blocks.node("", "ReduceMax", numbers, axis);
    String index =
        blocks.node(
            "",
            "Expand",
            blocks.node("", "Unsqueeze", last, blocks.constant("", "width_axis", Tensor.vector(2))),
            blocks.constant("", "width", Tensor.vector(1, 1, hidden)));
    Map<String, Attribute> alongTokens = Map.of("axis", Attribute.of(1));
    String picked = blocks.node("", "GatherElements", alongTokens, state, index);
    String pooled = blocks.node("", "Squeeze", picked, axis);
    int labels = config.labelCount();
    blocks.output("logits", blocks.product("score", pooled, hidden, labels), "batch", labels);
  }
}

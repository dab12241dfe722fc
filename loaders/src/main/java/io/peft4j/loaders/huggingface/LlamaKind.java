package io.peft4j.loaders.huggingface;

/** A family of Llama's build: what its configuration leaves out and where its layers differ. */
enum LlamaKind {
  LLAMA("llama", "Llama", 11008, 0, 0, 32000, 0),
  MISTRAL("mistral", "Mistral", 14336, 8, 0, 32000, 4096),
  QWEN2("qwen2", "Qwen2", 22016, 32, 0, 151936, 0),
  QWEN3("qwen3", "Qwen3", 22016, 32, 128, 151936, 0);

  private final String modelType;
  private final String classes;
  private final int inner;
  private final int keyHeads;
  private final int headSize;
  private final int vocabulary;
  private final int window;

  LlamaKind(
      String modelType,
      String classes,
      int inner,
      int keyHeads,
      int headSize,
      int vocabulary,
      int window) {
    this.modelType = modelType;
    this.classes = classes;
    this.inner = inner;
    this.keyHeads = keyHeads;
    this.headSize = headSize;
    this.vocabulary = vocabulary;
    this.window = window;
  }

  /** The {@code model_type} of config.json. */
  String modelType() {
    return modelType;
  }

  /** What the names of its architectures begin with. */
  String classes() {
    return classes;
  }

  /** Default of {@code intermediate_size}. */
  int inner() {
    return inner;
  }

  /** Default of {@code num_key_value_heads}; 0 for as many as query heads. */
  int keyHeads() {
    return keyHeads;
  }

  /** Default of {@code head_dim}; 0 for the hidden size by the number of heads. */
  int headSize() {
    return headSize;
  }

  /** Default of {@code vocab_size}. */
  int vocabulary() {
    return vocabulary;
  }

  /** Default of {@code sliding_window}; 0 where every token sees all before it. */
  int window() {
    return window;
  }

  /** Whether queries, keys and values have biases whatever the configuration says. */
  boolean queryBias() {
    return this == QWEN2;
  }

  /** Whether the configuration may switch a sliding window on, which is not supported. */
  boolean windowSwitch() {
    return this == QWEN2 || this == QWEN3;
  }

  /** Whether each head of queries and keys is normalised. */
  boolean headNorms() {
    return this == QWEN3;
  }

  /** Whether the configuration may switch biases of attention on. */
  boolean attentionBiasSwitch() {
    return this == LLAMA || this == QWEN3;
  }

  /** Whether the configuration may switch biases of the feed-forward block on. */
  boolean feedForwardBiasSwitch() {
    return this == LLAMA;
  }
}

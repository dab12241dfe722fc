package io.peft4j.adapters.prompt;

/** How the vectors of prompt tuning start. */
public enum PromptStart {
  /** As the embeddings of words drawn at random. */
  SAMPLE_VOCAB,
  /** Normal, with mean 0 and deviation 1. */
  RANDOM,
  /** As the embeddings of a text, which is repeated or cut. */
  TEXT
}

package io.peft4j.compress.prune;

import io.peft4j.PretrainedModel;

/**
 * A model with fewer rows of its vocabulary, and the tokenizer that goes with it.
 *
 * @param model its ids are those of the new tokenizer
 * @param tokenizer the text of its {@code tokenizer.json}
 * @param kept rows of the table of tokens before and now
 */
public record PrunedVocabulary(
    PretrainedModel model,
    String tokenizer,
    PrunedModel.Kept kept,
    ModelSize before,
    ModelSize after) {}

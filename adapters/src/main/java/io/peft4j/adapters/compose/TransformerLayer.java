package io.peft4j.adapters.compose;

import io.peft4j.site.AttentionSite;
import io.peft4j.site.FeedForwardSite;

/**
 * One layer: attention, then feed-forward.
 *
 * @param number counted from 0
 * @param path module path, for example {@code bert.encoder.layer.0}
 * @param attention the attention itself
 * @param feedForward the feed-forward block itself
 * @param afterAttention where the attention joins the residual stream
 * @param afterFeedForward where the feed-forward block joins it
 */
public record TransformerLayer(
    int number,
    String path,
    AttentionSite attention,
    FeedForwardSite feedForward,
    ResidualSum afterAttention,
    ResidualSum afterFeedForward) {}

package io.peft4j.adapters.compose;

import io.peft4j.graph.Node;
import io.peft4j.site.LinearSite;
import org.jspecify.annotations.Nullable;

/**
 * The end of an attention or feed-forward block: norm(hidden + residual), or hidden + residual
 * where the model normalises at the start of its blocks.
 *
 * @param linear the block's last layer
 * @param hidden what the block adds, after dropout, [batch, sequence, hidden]
 * @param residual what it is added to
 * @param sum the node that adds
 * @param norm the normalisation behind the sum, a node with inputs x, scale and shift; null if the
 *     model has none there
 * @param output the value behind the norm, or behind the sum where there is none
 */
public record ResidualSum(
    LinearSite linear,
    String hidden,
    String residual,
    Node sum,
    @Nullable Node norm,
    String output) {}

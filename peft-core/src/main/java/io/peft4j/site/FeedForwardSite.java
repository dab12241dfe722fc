package io.peft4j.site;

import org.jspecify.annotations.Nullable;

/**
 * Linear, activation, linear; with a gate also the linear layer that is multiplied in.
 *
 * @param path the common front of the paths of its layers
 * @param up from the hidden size to the intermediate size
 * @param gate the second layer from the hidden size, whose activation is multiplied with {@code
 *     up}; null if there is none
 * @param down back to the hidden size
 */
public record FeedForwardSite(
    String path, LinearSite up, @Nullable LinearSite gate, LinearSite down) implements Site {}

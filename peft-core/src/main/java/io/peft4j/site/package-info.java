/**
 * The places of a model where adapters attach: linear layers, feed-forward blocks, attention, norms
 * and embeddings, found by structure. May call {@code graph} only.
 */
@NullMarked
package io.peft4j.site;

import org.jspecify.annotations.NullMarked;

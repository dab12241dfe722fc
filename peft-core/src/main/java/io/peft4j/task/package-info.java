/**
 * What a model is trained to do: heads and losses as further nodes of its graph, and the metrics
 * that judge it.
 */
@NullMarked
package io.peft4j.task;

import org.jspecify.annotations.NullMarked;

/**
 * Classifiers side by side on the same rows: quality, size, speed and memory. Each runs in ONNX
 * Runtime in a process of its own, which {@link io.peft4j.compress.compare.Comparison} starts, asks
 * in turn, and ends.
 */
@NullMarked
package io.peft4j.compress.compare;

import org.jspecify.annotations.NullMarked;

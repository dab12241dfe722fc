/**
 * Checkpoints of the Hugging Face libraries: {@code config.json} and SafeTensors weights, one
 * builder a model family that makes the graph of them. May call {@code io.peft4j.graph}, {@code
 * io.peft4j.format} and {@code io.peft4j.loaders.safetensors}.
 */
@NullMarked
package io.peft4j.loaders.huggingface;

import org.jspecify.annotations.NullMarked;

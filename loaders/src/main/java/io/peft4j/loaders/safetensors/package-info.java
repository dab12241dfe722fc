/**
 * Reading and writing SafeTensors files, whole or in shards. Knows tensors and files, no model; may
 * call {@code io.peft4j.graph} and {@code io.peft4j.format}.
 */
@NullMarked
package io.peft4j.loaders.safetensors;

import org.jspecify.annotations.NullMarked;

/**
 * The model as data: a graph in the ONNX vocabulary and the tensors it carries. Knows no engine, no
 * file format and no adapter; may call nothing else of peft4j but its exceptions.
 */
@NullMarked
package io.peft4j.graph;

import org.jspecify.annotations.NullMarked;

/**
 * ONNX files: read one to one into graphs, whatever their operator set version, and written in one
 * current version.
 */
@NullMarked
package io.peft4j.loaders.onnx;

import org.jspecify.annotations.NullMarked;

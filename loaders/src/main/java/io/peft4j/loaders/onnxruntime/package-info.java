/** Inference by ONNX Runtime, through DJL's engine. */
@NullMarked
package io.peft4j.loaders.onnxruntime;

import org.jspecify.annotations.NullMarked;

/**
 * LoRA for ONNX Runtime's own switching of adapters: one base model whose factors are optional
 * inputs, and a file of factors for each adapter.
 */
@NullMarked
package io.peft4j.adapters.onnxruntime;

import org.jspecify.annotations.NullMarked;

/**
 * Running a graph: what a program is, and the interface of engines that only infer. The PyTorch
 * engine lives in {@code engine.torch}.
 */
@NullMarked
package io.peft4j.engine;

import org.jspecify.annotations.NullMarked;

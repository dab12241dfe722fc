/**
 * The PyTorch engine: a graph is printed as TorchScript, packed as the archive that torch loads,
 * and run with weights and parameters passed in as arguments. The only room that touches DJL's
 * PyTorch engine.
 */
@NullMarked
package io.peft4j.engine.torch;

import org.jspecify.annotations.NullMarked;

/** GraLoRA: LoRA in blocks of the weights of linear layers. Needs no other method. */
@NullMarked
package io.peft4j.adapters.gralora;

import org.jspecify.annotations.NullMarked;

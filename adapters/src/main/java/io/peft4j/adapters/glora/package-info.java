/** GLoRA: scales and shifts of weights and biases of linear layers. Needs no other method. */
@NullMarked
package io.peft4j.adapters.glora;

import org.jspecify.annotations.NullMarked;

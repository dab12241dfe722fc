/**
 * BOFT: rotations of the inputs and scales of the outputs of linear layers. Needs no other method.
 */
@NullMarked
package io.peft4j.adapters.boft;

import org.jspecify.annotations.NullMarked;

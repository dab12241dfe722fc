/** RoAD: rotations and scales of pairs of outputs of linear layers. Needs no other method. */
@NullMarked
package io.peft4j.adapters.road;

import org.jspecify.annotations.NullMarked;

/** PEANuT: updates that a small network makes of the weights themselves. Needs no other method. */
@NullMarked
package io.peft4j.adapters.peanut;

import org.jspecify.annotations.NullMarked;

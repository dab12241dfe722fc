/** (IA)³: scales of the outputs, or inputs, of linear layers. Needs no other method. */
@NullMarked
package io.peft4j.adapters.ia3;

import org.jspecify.annotations.NullMarked;

/** PSOFT: rotations within the leading singular space of each weight. Needs no other method. */
@NullMarked
package io.peft4j.adapters.psoft;

import org.jspecify.annotations.NullMarked;

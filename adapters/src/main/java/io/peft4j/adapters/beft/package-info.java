/** BEFT: trained biases of value projections. Needs no other method. */
@NullMarked
package io.peft4j.adapters.beft;

import org.jspecify.annotations.NullMarked;

/**
 * Putting two small linear layers in the place of a large one: how much of a weight a low rank
 * holds, and the surgery on the graph. Shapes really shrink.
 */
@NullMarked
package io.peft4j.compress.lowrank;

import org.jspecify.annotations.NullMarked;

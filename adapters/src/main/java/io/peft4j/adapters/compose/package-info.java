/**
 * Where methods attach that add whole modules between the layers of a transformer: the residual
 * sums of its blocks, and the graph that grows while one or several methods attach together. May
 * call the core only.
 */
@NullMarked
package io.peft4j.adapters.compose;

import org.jspecify.annotations.NullMarked;

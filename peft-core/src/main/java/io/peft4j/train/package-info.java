/**
 * Training: the recipe, the loop, optimiser, schedule and what is reported. May call every room of
 * core; the numbers agree with torch's and transformers' definitions.
 */
@NullMarked
package io.peft4j.train;

import org.jspecify.annotations.NullMarked;

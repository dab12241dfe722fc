/**
 * Super-Tuning: updates of the largest elements of the weights of linear layers. Needs no other
 * method.
 */
@NullMarked
package io.peft4j.adapters.supertuning;

import org.jspecify.annotations.NullMarked;

/** DEFT: part of what a linear layer gives is replaced by a low-rank map. Needs no other method. */
@NullMarked
package io.peft4j.adapters.deft;

import org.jspecify.annotations.NullMarked;

/** Training chosen weights of the model itself, all others frozen. */
@NullMarked
package io.peft4j.adapters.freeze;

import org.jspecify.annotations.NullMarked;

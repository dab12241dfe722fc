/** Representation fine-tuning: changes of hidden states at few positions. */
@NullMarked
package io.peft4j.adapters.reft;

import org.jspecify.annotations.NullMarked;

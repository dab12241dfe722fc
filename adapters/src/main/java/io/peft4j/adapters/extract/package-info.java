/**
 * LoRA out of changed weights: of any adapter that can be merged, or of a model that was fine-tuned
 * whole.
 */
@NullMarked
package io.peft4j.adapters.extract;

import org.jspecify.annotations.NullMarked;

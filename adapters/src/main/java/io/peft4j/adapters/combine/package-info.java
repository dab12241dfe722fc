/**
 * Several adapters of PEFT made into one, from their files alone: as PEFT's {@code
 * add_weighted_adapter} does it for LoRA, and the mean of any alike adapters.
 */
@NullMarked
package io.peft4j.adapters.combine;

import org.jspecify.annotations.NullMarked;

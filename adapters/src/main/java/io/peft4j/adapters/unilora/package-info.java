/** Uni-LoRA: low-rank updates that all draw on one short vector. Needs no other method. */
@NullMarked
package io.peft4j.adapters.unilora;

import org.jspecify.annotations.NullMarked;

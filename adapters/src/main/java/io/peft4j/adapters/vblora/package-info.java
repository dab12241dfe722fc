/** VB-LoRA: low-rank updates composed from one bank of vectors. Needs no other method. */
@NullMarked
package io.peft4j.adapters.vblora;

import org.jspecify.annotations.NullMarked;

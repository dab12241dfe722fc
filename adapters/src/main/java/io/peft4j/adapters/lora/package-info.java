/** LoRA: low-rank updates of linear layers. Needs no other method. */
@NullMarked
package io.peft4j.adapters.lora;

import org.jspecify.annotations.NullMarked;

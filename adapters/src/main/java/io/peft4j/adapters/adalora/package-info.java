/** AdaLoRA: low-rank updates whose ranks are shared out in training. Needs no other method. */
@NullMarked
package io.peft4j.adapters.adalora;

import org.jspecify.annotations.NullMarked;

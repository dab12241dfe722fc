/** RandLoRA: full-rank updates as scaled sums of random low-rank ones. Needs no other method. */
@NullMarked
package io.peft4j.adapters.randlora;

import org.jspecify.annotations.NullMarked;

/** DeLoRA: low-rank updates of bounded norm. Needs no other method. */
@NullMarked
package io.peft4j.adapters.delora;

import org.jspecify.annotations.NullMarked;

/**
 * TinyLoRA: updates of a few numbers in the leading singular space of each weight. Needs no other
 * method.
 */
@NullMarked
package io.peft4j.adapters.tinylora;

import org.jspecify.annotations.NullMarked;

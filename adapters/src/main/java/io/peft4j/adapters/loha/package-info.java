/** LoHa: Hadamard products of low-rank updates of linear layers. Needs no other method. */
@NullMarked
package io.peft4j.adapters.loha;

import org.jspecify.annotations.NullMarked;

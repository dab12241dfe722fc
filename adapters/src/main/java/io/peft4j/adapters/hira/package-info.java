/** HiRA: Hadamard high-rank updates of linear layers. Needs no other method. */
@NullMarked
package io.peft4j.adapters.hira;

import org.jspecify.annotations.NullMarked;

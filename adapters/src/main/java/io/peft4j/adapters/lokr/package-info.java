/** LoKr: Kronecker products as updates of linear layers. Needs no other method. */
@NullMarked
package io.peft4j.adapters.lokr;

import org.jspecify.annotations.NullMarked;

/** C3A: block-circulant updates of linear layers. Needs no other method. */
@NullMarked
package io.peft4j.adapters.c3a;

import org.jspecify.annotations.NullMarked;

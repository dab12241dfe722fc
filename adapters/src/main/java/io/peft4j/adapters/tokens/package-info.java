/** Single rows of a table of vectors that train whole. Needs no other method. */
@NullMarked
package io.peft4j.adapters.tokens;

import org.jspecify.annotations.NullMarked;

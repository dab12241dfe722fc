/** Adapters of PEFT as AdapterHub has them and the other way round, where both compute the same. */
@NullMarked
package io.peft4j.adapters.convert;

import org.jspecify.annotations.NullMarked;

/** FRoD: weights rebuilt in a basis that layers of a kind share. Needs no other method. */
@NullMarked
package io.peft4j.adapters.frod;

import org.jspecify.annotations.NullMarked;

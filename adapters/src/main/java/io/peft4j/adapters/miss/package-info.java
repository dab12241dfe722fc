/** MiSS: one small block that is added to every block of a weight. Needs no other method. */
@NullMarked
package io.peft4j.adapters.miss;

import org.jspecify.annotations.NullMarked;

/** Work that is measured, each the same as a script in {@code bench/peer} does. */
@NullMarked
package io.peft4j.bench;

import org.jspecify.annotations.NullMarked;

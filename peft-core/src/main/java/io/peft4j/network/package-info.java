/**
 * Networks that are built rather than read from a file. Knows graphs; no adapter, no engine and no
 * training.
 */
@NullMarked
package io.peft4j.network;

import org.jspecify.annotations.NullMarked;

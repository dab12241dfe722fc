/**
 * What core asks of file formats: the interfaces that {@code loaders} and {@code adapters}
 * implement and ServiceLoader finds, and writing that is never half done. Knows graphs and tensors,
 * no concrete format.
 */
@NullMarked
package io.peft4j.format;

import org.jspecify.annotations.NullMarked;

/**
 * Labelled examples: reading them from files, turning text into token ids, and putting rows
 * together into batches.
 */
@NullMarked
package io.peft4j.data;

import org.jspecify.annotations.NullMarked;

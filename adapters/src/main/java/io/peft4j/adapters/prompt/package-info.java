/**
 * Trained vectors before a sequence: keys and values in front of those of attention (prefix
 * tuning), and vectors in front of the embedded tokens (prompt tuning), with the surgery that both
 * need on attention and its mask.
 */
@NullMarked
package io.peft4j.adapters.prompt;

import org.jspecify.annotations.NullMarked;

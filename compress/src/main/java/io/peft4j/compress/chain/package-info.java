/**
 * From a fine-tuned classifier to small ones, stage by stage, each written, run and measured. Calls
 * pruning, distillation, quantisation, export and comparison.
 */
@NullMarked
package io.peft4j.compress.chain;

import org.jspecify.annotations.NullMarked;

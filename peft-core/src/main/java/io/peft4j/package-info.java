/**
 * What users of the library start from: opening a model, attaching an adapter, training, saving,
 * merging.
 */
@NullMarked
package io.peft4j;

import org.jspecify.annotations.NullMarked;

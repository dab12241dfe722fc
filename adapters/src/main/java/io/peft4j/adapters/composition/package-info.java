/** Several bottleneck adapters on one model: one after the other, or fused by attention. */
@NullMarked
package io.peft4j.adapters.composition;

import org.jspecify.annotations.NullMarked;

/** Runnable examples, each one small job from end to end. */
@NullMarked
package io.peft4j.examples;

import org.jspecify.annotations.NullMarked;

/** Teaching a small model what a large one says: losses, students, and the training. */
@NullMarked
package io.peft4j.compress.distill;

import org.jspecify.annotations.NullMarked;

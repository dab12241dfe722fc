/**
 * Setting single weights to zero: which ones, and how the others make up for it. Shapes stay as
 * they are, and so do the bytes of a plain file: the results are called sparse, never smaller.
 */
@NullMarked
package io.peft4j.compress.sparse;

import org.jspecify.annotations.NullMarked;

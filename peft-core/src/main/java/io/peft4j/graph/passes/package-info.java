/**
 * Rewriting a graph before it is compiled: folding constants and recognising the forms that
 * exporters take apart. Works on the copy that is compiled; what is exported never went through
 * here. May call {@code graph} only.
 */
@NullMarked
package io.peft4j.graph.passes;

import org.jspecify.annotations.NullMarked;

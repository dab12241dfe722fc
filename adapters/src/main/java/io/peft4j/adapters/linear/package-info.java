/**
 * What methods on linear layers share: formulas written as expressions, attaching to every target,
 * and merging, which needs no formula of its own. May call the graph and the engine; knows no
 * method.
 */
@NullMarked
package io.peft4j.adapters.linear;

import org.jspecify.annotations.NullMarked;

/**
 * Making models smaller by leaving parts of them out; shapes really shrink. What goes together is
 * followed through the graph axis by axis, cut in one place and masked in another, and the two are
 * compared. May call {@code distill} for the recovery.
 */
@NullMarked
package io.peft4j.compress.prune;

import org.jspecify.annotations.NullMarked;

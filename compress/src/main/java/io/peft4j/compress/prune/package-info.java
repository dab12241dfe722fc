/** Making models smaller by leaving parts of them out; shapes really shrink. */
@NullMarked
package io.peft4j.compress.prune;

import org.jspecify.annotations.NullMarked;

/** AdaMSS: low-rank updates of groups of a weight's rows. Needs no other method. */
@NullMarked
package io.peft4j.adapters.adamss;

import org.jspecify.annotations.NullMarked;

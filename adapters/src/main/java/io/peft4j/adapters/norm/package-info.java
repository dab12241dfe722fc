/** LN tuning: the norms of a model, trained whole. Needs no other method. */
@NullMarked
package io.peft4j.adapters.norm;

import org.jspecify.annotations.NullMarked;

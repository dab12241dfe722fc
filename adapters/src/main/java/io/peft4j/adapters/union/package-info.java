/** Several methods as one adapter, as Mix-and-Match and UniPELT are. */
@NullMarked
package io.peft4j.adapters.union;

import org.jspecify.annotations.NullMarked;

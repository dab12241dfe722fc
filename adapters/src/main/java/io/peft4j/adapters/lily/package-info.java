/**
 * Lily: low-rank updates whose second matrices are shared and mixed by a router. Needs no other
 * method.
 */
@NullMarked
package io.peft4j.adapters.lily;

import org.jspecify.annotations.NullMarked;

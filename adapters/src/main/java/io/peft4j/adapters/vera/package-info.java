/** VeRA: vectors that scale random projections which all layers share. Needs no other method. */
@NullMarked
package io.peft4j.adapters.vera;

import org.jspecify.annotations.NullMarked;

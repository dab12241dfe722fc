/** PVeRA: VeRA whose inner values are drawn from learned distributions. Needs no other method. */
@NullMarked
package io.peft4j.adapters.pvera;

import org.jspecify.annotations.NullMarked;

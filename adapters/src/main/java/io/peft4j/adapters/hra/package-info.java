/** HRA: Householder reflections of the inputs of linear layers. Needs no other method. */
@NullMarked
package io.peft4j.adapters.hra;

import org.jspecify.annotations.NullMarked;

/** LoRA, (IA)³ and VeRA as AdapterHub has them, with an optional gate. */
@NullMarked
package io.peft4j.adapters.hublora;

import org.jspecify.annotations.NullMarked;

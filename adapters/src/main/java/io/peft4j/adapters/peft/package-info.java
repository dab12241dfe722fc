/**
 * Adapter folders as PEFT writes and reads them. Knows files and keys; what a method's
 * configuration means is said by that method's own {@link io.peft4j.adapters.peft.PeftInterchange}.
 */
@NullMarked
package io.peft4j.adapters.peft;

import org.jspecify.annotations.NullMarked;

/** FourierFT: updates with few entries in the frequency domain. Needs no other method. */
@NullMarked
package io.peft4j.adapters.fourierft;

import org.jspecify.annotations.NullMarked;

/** WaveFT: updates with few wavelet coefficients. Needs no other method. */
@NullMarked
package io.peft4j.adapters.waveft;

import org.jspecify.annotations.NullMarked;

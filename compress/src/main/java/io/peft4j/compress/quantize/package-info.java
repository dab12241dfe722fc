/**
 * Weights and activations in few bits: number formats, graphs that compute in int8, calibration,
 * and the search for layers that must stay as they are.
 */
@NullMarked
package io.peft4j.compress.quantize;

import org.jspecify.annotations.NullMarked;

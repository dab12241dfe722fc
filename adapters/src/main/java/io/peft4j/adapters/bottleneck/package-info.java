/**
 * Bottleneck adapters: small networks behind or beside the blocks of a transformer, as Houlsby,
 * Pfeiffer, parallel, AdapterPlus, Compacter and invertible adapters are.
 */
@NullMarked
package io.peft4j.adapters.bottleneck;

import org.jspecify.annotations.NullMarked;

/** OFT: block-diagonal rotations of the inputs of linear layers. Needs no other method. */
@NullMarked
package io.peft4j.adapters.oft;

import org.jspecify.annotations.NullMarked;

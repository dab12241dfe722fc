/** SHiRA: updates of few elements of the weights of linear layers. Needs no other method. */
@NullMarked
package io.peft4j.adapters.shira;

import org.jspecify.annotations.NullMarked;

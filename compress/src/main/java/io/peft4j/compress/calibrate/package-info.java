/** What the layers of a model are given by the user's own data. Runs graphs; changes none. */
@NullMarked
package io.peft4j.compress.calibrate;

import org.jspecify.annotations.NullMarked;

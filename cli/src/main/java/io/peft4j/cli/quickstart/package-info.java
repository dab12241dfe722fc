/** The whole job on an embedded model and embedded data. */
@NullMarked
package io.peft4j.cli.quickstart;

import org.jspecify.annotations.NullMarked;

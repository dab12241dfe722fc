/** {@code peft4j adapter}: what is done with adapter folders themselves. */
@NullMarked
package io.peft4j.cli.adapter;

import org.jspecify.annotations.NullMarked;

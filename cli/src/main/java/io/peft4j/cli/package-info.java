/** The {@code peft4j} command: one class a sub-command, and how errors are told. */
@NullMarked
package io.peft4j.cli;

import org.jspecify.annotations.NullMarked;

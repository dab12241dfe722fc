/**
 * What an adapter is: the interface that methods implement, how targets are chosen, and what
 * attaching gives. Knows graphs and sites; no method, no file format and no engine.
 */
@NullMarked
package io.peft4j.adapter;

import org.jspecify.annotations.NullMarked;

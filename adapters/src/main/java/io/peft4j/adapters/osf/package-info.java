/**
 * OSF: the lesser singular directions of each weight are trained, without touching the leading
 * ones. Needs no other method.
 */
@NullMarked
package io.peft4j.adapters.osf;

import org.jspecify.annotations.NullMarked;

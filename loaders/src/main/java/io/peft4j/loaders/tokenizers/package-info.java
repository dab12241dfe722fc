/**
 * Tokenizers: the interfaces of {@code io.peft4j.data} on top of DJL's binding of the Hugging Face
 * tokenizers library. Reads local files only.
 */
@NullMarked
package io.peft4j.loaders.tokenizers;

import org.jspecify.annotations.NullMarked;

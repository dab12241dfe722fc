package io.peft4j.site;

import io.peft4j.graph.DType;

/**
 * A table of vectors that ids pick from.
 *
 * @param path module path
 * @param weight the initializer, [entries, size]
 * @param indices the value that picks
 * @param output the picked vectors
 * @param dtype the element type of the picked vectors
 */
public record EmbeddingSite(
    String path, String weight, String indices, String output, long entries, long size, DType dtype)
    implements Site {}

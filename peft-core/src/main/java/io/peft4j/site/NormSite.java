package io.peft4j.site;

import org.jspecify.annotations.Nullable;

/**
 * A normalisation with a learned scale.
 *
 * @param path module path
 * @param weight the initializer that holds the scale
 * @param bias the initializer that holds the shift; null if there is none
 * @param output the normalised value
 */
public record NormSite(String path, String weight, @Nullable String bias, String output)
    implements Site {}

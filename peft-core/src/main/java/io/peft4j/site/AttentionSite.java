package io.peft4j.site;

/**
 * Attention. Where one layer makes queries, keys and values together, the three are the same site.
 *
 * @param path the common front of the paths of its layers
 * @param output the layer behind the attention
 */
public record AttentionSite(
    String path, LinearSite query, LinearSite key, LinearSite value, LinearSite output)
    implements Site {}

package io.peft4j.site;

/** A place of a model where an adapter can attach. */
public sealed interface Site
    permits LinearSite, FeedForwardSite, AttentionSite, NormSite, EmbeddingSite, ConvSite {
  /**
   * The module path as the checkpoint's library names it, for example {@code
   * encoder.layer.0.output.dense}.
   */
  String path();
}

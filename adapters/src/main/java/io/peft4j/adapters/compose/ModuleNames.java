package io.peft4j.adapters.compose;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The modules that AdapterHub's library puts into a model, by their paths.
 *
 * @param model path of the encoder or decoder without its heads, for example {@code bert}; empty if
 *     it is the whole model
 */
public record ModuleNames(String model) {
  /** The paths of layers in models whose encoder is a module among others. */
  private static final Pattern WITHIN =
      Pattern.compile(
          "(bert|roberta|electra|distilbert|deberta|xlm_roberta|camembert|mpnet|albert|vit|beit|deit"
              + "|transformer(?=\\.h\\.)|model(?=\\.layers\\.))\\..*");

  /** The names in a model that has a module of this path within one of its layers. */
  public static ModuleNames of(String path) {
    Matcher matcher = WITHIN.matcher(path);
    return new ModuleNames(matcher.matches() ? matcher.group(1) : "");
  }

  /** The module behind a layer's attention. */
  public String attention(TransformerLayer layer) {
    return behind(layer, layer.attention().output().path(), "attention_adapters");
  }

  /** The module behind a layer's feed-forward block. */
  public String feedForward(TransformerLayer layer) {
    return behind(layer, layer.feedForward().down().path(), "output_adapters");
  }

  /** BERT and its kin have a module for the end of a block; elsewhere the layer gets one. */
  private static String behind(TransformerLayer layer, String last, String added) {
    String end = ".output.dense";
    return last.endsWith(end)
        ? last.substring(0, last.length() - ".dense".length())
        : layer.path() + "." + added;
  }
}

package io.peft4j.adapters.hublora;

import io.peft4j.adapters.compose.TransformerLayer;
import io.peft4j.site.LinearSite;

/** A linear layer of a transformer's layer, by what it does. */
public enum Place {
  QUERY("q"),
  KEY("k"),
  VALUE("v"),
  UP(""),
  DOWN("");

  private final String matrix;

  Place(String matrix) {
    this.matrix = matrix;
  }

  /** The letter of {@code attn_matrices}; empty for a layer outside of attention. */
  String matrix() {
    return matrix;
  }

  LinearSite in(TransformerLayer layer) {
    return switch (this) {
      case QUERY -> layer.attention().query();
      case KEY -> layer.attention().key();
      case VALUE -> layer.attention().value();
      case UP -> layer.feedForward().up();
      case DOWN -> layer.feedForward().down();
    };
  }
}

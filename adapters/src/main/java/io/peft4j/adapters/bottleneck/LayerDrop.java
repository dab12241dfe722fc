package io.peft4j.adapters.bottleneck;

import io.peft4j.adapters.compose.Attachment;
import java.util.ArrayList;
import java.util.List;

/**
 * AdapterDrop's robust training (Rücklé et al. 2021, arXiv 2010.11918): for every batch the
 * bottlenecks of the first n layers give nothing, n drawn from 0 to a most, all alike. Layer i
 * stays if n ≤ i: given that the layers before it were left out, with probability 1 / (most + 1 -
 * i). Outside of training all stay.
 */
final class LayerDrop {
  private final Attachment at;
  private final List<String> kept = new ArrayList<>();

  LayerDrop(Attachment at, int most) {
    this.at = at;
    String before = null;
    for (int i = 0; i < most; i++) {
      double stays = 1.0 / (most + 1 - i);
      String scope = "layer_drop." + i;
      // Dropout gives 0 or 1 / stays in training and 1 otherwise.
      String drawn = at.dropout(scope, at.number(scope + ".one", 1), 1 - stays);
      String keeps = at.node(scope, "Min", drawn, at.number(scope + ".most", 1));
      before = before == null ? keeps : at.node(scope, "Max", before, keeps);
      kept.add(before);
    }
  }

  /** x, or zeros where the layer is left out for this batch. */
  String kept(int layer, String scope, String x) {
    return layer < kept.size() ? at.node(scope + ".layer_drop", "Mul", x, kept.get(layer)) : x;
  }
}

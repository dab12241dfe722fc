package io.peft4j.adapters.bottleneck;

import io.peft4j.adapters.compose.Attachment;
import io.peft4j.graph.Tensor;

/** How the weights of a bottleneck start; biases start at zero. */
public enum Start {
  /** Normal, standard deviation 0.02. */
  BERT,
  /** Down uniform in ±1/√in, up zero: nothing changes at first. */
  MAM_ADAPTER,
  /** Normal, standard deviation 0.01, cut at two of them. */
  HOULSBY;

  private static final double BERT_DEVIATION = 0.02;
  private static final double HOULSBY_DEVIATION = 0.01;

  /** The start of a weight [out, in] that leads down. */
  Tensor down(Attachment at, long out, long in) {
    return switch (this) {
      case BERT -> at.normal(BERT_DEVIATION, out, in);
      case MAM_ADAPTER -> at.uniform(1 / Math.sqrt((double) in), out, in);
      case HOULSBY -> at.truncatedNormal(HOULSBY_DEVIATION, out, in);
    };
  }

  /** The start of a weight [out, in] that leads up again. */
  Tensor up(Attachment at, long out, long in) {
    return this == MAM_ADAPTER ? Attachment.filled(0, out, in) : down(at, out, in);
  }
}

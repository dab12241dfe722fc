package io.peft4j.adapters.bottleneck;

import io.peft4j.adapters.compose.Attachment;

/** One of the two layers of a bottleneck. */
interface Projection {
  /**
   * Adds the layer.
   *
   * @param module the path of the module that holds the adapter
   * @param prefix of its tensors' names, for example {@code adapters.task.adapter_down.0.}
   * @param down whether it leads from the residual stream into the bottleneck
   * @param x [..., in]
   * @return [..., out]
   */
  String add(Attachment at, String module, String prefix, boolean down, String x, int in, int out);
}

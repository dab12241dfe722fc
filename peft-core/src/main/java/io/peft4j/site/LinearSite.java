package io.peft4j.site;

import io.peft4j.graph.DType;
import org.jspecify.annotations.Nullable;

/**
 * y = x Wᵀ + b.
 *
 * @param path module path
 * @param role what the layer does in its block
 * @param weight the initializer that holds W
 * @param inFirst whether the initializer is laid out [in, out] instead of [out, in]
 * @param bias the initializer that holds b; null if there is none
 * @param input the value x, [..., in]
 * @param output the value y, bias included, [..., out]
 * @param inFeatures size of the last axis of x
 * @param outFeatures size of the last axis of y
 * @param dtype the element type of x and y
 */
public record LinearSite(
    String path,
    Role role,
    String weight,
    boolean inFirst,
    @Nullable String bias,
    String input,
    String output,
    long inFeatures,
    long outFeatures,
    DType dtype)
    implements Site {

  /**
   * Whether a file of the checkpoint's library holds the weight with its axes the other way round
   * than the initializer: exporters rename a weight when they transpose it, so one that has its
   * module's name, or its name in a file that leaves out the front of it, still lies as it was.
   */
  public boolean storedTransposed() {
    return inFirst && !("." + path + ".weight").endsWith("." + weight);
  }

  LinearSite withRole(Role newRole) {
    return new LinearSite(
        path, newRole, weight, inFirst, bias, input, output, inFeatures, outFeatures, dtype);
  }
}

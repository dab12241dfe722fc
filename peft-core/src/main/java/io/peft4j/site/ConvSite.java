package io.peft4j.site;

import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A convolution.
 *
 * @param path module path
 * @param weight the initializer that holds the kernels, [out, in / groups, ...]
 * @param bias the initializer that holds the bias, [out]; null if there is none
 * @param input the value that is convolved, [batch, in, ...]
 * @param output the result, bias included, [batch, out, ...]
 * @param attributes of ONNX's Conv: strides, pads, dilations, group
 * @param inChannels size of axis 1 of the input
 * @param outChannels size of axis 1 of the output
 * @param dtype the element type of input and output
 */
public record ConvSite(
    String path,
    String weight,
    @Nullable String bias,
    String input,
    String output,
    Map<String, Attribute> attributes,
    long inChannels,
    long outChannels,
    DType dtype)
    implements Site {
  public ConvSite {
    attributes = Map.copyOf(attributes);
  }

  /** In how many parts channels are cut that do not see each other. */
  public long groups() {
    return attributes.get("group") instanceof Attribute.IntValue group ? group.value() : 1;
  }
}

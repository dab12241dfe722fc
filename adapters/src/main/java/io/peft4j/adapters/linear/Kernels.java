package io.peft4j.adapters.linear;

import io.peft4j.PeftException;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.Tensor;
import io.peft4j.site.ConvSite;
import io.peft4j.site.LinearSite;
import io.peft4j.site.Role;
import java.util.Arrays;
import java.util.stream.LongStream;

/**
 * The kernels of a convolution [out, in / groups, ...], whose rows are a matrix W [out, in / groups
 * · size]: a convolution is a linear layer on the patches of its input.
 */
public final class Kernels {
  private final ConvSite site;
  private final long[] shape;

  /**
   * @param weight what the site's weight holds
   */
  Kernels(ConvSite site, Tensor weight) {
    this.site = site;
    shape = weight.shape().clone();
  }

  ConvSite site() {
    return site;
  }

  /** The convolution as a linear layer. */
  LinearSite layer() {
    return new LinearSite(
        site.path(),
        Role.OTHER,
        site.weight(),
        false,
        site.bias(),
        site.input(),
        site.output(),
        channels() * size(),
        site.outChannels(),
        site.dtype());
  }

  /** Channels of the input that one kernel sees. */
  public long channels() {
    return shape[1];
  }

  /** In how many parts channels are cut that do not see each other. */
  public long groups() {
    return site.groups();
  }

  /** Sizes of a kernel's axes. */
  public long[] axes() {
    return Arrays.copyOfRange(shape, 2, shape.length);
  }

  /** Elements of a kernel for one channel. */
  public int size() {
    return Math.toIntExact(Tensor.elements(axes()));
  }

  /** The shape of so many kernels: [count, in / groups, ...]. */
  public long[] shape(long count) {
    return shape(count, channels());
  }

  /** The shape of kernels over other channels: [count, channels, ...]. */
  public long[] shape(long count, long channels) {
    return joined(new long[] {count, channels}, axes());
  }

  /** The shape [first, second, 1, ...] of kernels of size 1. */
  public long[] points(long first, long second) {
    long[] ones = new long[shape.length - 2];
    Arrays.fill(ones, 1);
    return joined(new long[] {first, second}, ones);
  }

  private static long[] joined(long[] front, long[] back) {
    return LongStream.concat(Arrays.stream(front), Arrays.stream(back)).toArray();
  }

  /**
   * @throws PeftException if channels are grouped
   */
  public void requireOneGroup(String method) {
    if (groups() != 1) {
      throw refused(method, "has %d groups".formatted(groups()));
    }
  }

  /**
   * Some of PEFT's methods take a kernel's first axis, stride and pad for both and no dilation.
   *
   * @throws PeftException if there is more to the convolution, or channels are grouped
   */
  public void requireEven(String method) {
    requireOneGroup(method);
    if (Arrays.stream(axes()).distinct().count() > 1
        || !isEven("strides")
        || !isEven("pads")
        || site.attributes().containsKey("auto_pad")) {
      throw refused(method, "differs in its axes");
    }
    if (site.attributes().get("dilations") instanceof Attribute.Ints dilations
        && dilations.values().stream().anyMatch(d -> d != 1)) {
      throw refused(method, "is dilated");
    }
  }

  private boolean isEven(String attribute) {
    return !(site.attributes().get(attribute) instanceof Attribute.Ints sizes)
        || sizes.values().stream().distinct().count() < 2;
  }

  private PeftException refused(String method, String why) {
    return new PeftException(
        "the convolution '%s' %s, which %s does not take; leave it out"
            .formatted(site.path(), why, method));
  }
}

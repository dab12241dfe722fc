package io.peft4j.engine.torch;

import com.google.common.collect.ImmutableMap;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Convolution, pooling and batch normalisation. */
final class ImageLowerings {
  static final ImmutableMap<String, Lowering> TABLE =
      ImmutableMap.<String, Lowering>builder()
          .put("Conv", ImageLowerings::conv)
          .put("MaxPool", ImageLowerings::maxPool)
          .put("AveragePool", ImageLowerings::averagePool)
          .put("GlobalAveragePool", ImageLowerings::globalAveragePool)
          .put("BatchNormalization", ImageLowerings::batchNorm)
          .build();

  private ImageLowerings() {}

  private static String ints(LoweringContext c, String attribute, long absent, int count) {
    long[] given = c.node.intsAttribute(attribute);
    long[] values = given == null ? new long[count] : given;
    if (given == null) {
      Arrays.fill(values, absent);
    }
    return Arrays.toString(values);
  }

  /**
   * The input with padding put around it where it is not the same on both sides, and the padding
   * that is left to do.
   */
  private record Padded(String variable, String symmetric) {}

  private static Padded padded(LoweringContext c, String input, int axes, String fill) {
    if (!c.node.stringAttribute("auto_pad", "NOTSET").equals("NOTSET")) {
      throw c.unsupported("auto_pad; export with explicit pads");
    }
    long[] given = c.node.intsAttribute("pads");
    long[] pads = given == null ? new long[2 * axes] : given;
    long[] begin = Arrays.copyOf(pads, axes);
    if (Arrays.equals(begin, Arrays.copyOfRange(pads, axes, 2 * axes))) {
      return new Padded(input, Arrays.toString(begin));
    }
    List<Long> around = new ArrayList<>();
    for (int i = axes - 1; i >= 0; i--) {
      around.add(pads[i]);
      around.add(pads[axes + i]);
    }
    String variable =
        c.assign("torch.constant_pad_nd(" + input + ", " + around + ", " + fill + ")");
    return new Padded(variable, Arrays.toString(new long[axes]));
  }

  private static void conv(LoweringContext c) {
    Operand x = c.in(0);
    String bias = c.has(2) ? c.tensor(2) : "None";
    c.measured(x.dtype(), x.rank(), convolution(c, c.tensor(x), c.tensor(1), bias));
  }

  /** The convolution that a node's attributes describe. */
  static String convolution(LoweringContext c, String input, String weight, String bias) {
    int axes = c.in(0).rank() - 2;
    Padded padded = padded(c, input, axes, "0.");
    return "torch.conv%dd(%s, %s, %s, %s, %s, %s, %d)"
        .formatted(
            axes,
            padded.variable(),
            weight,
            bias,
            ints(c, "strides", 1, axes),
            padded.symmetric(),
            ints(c, "dilations", 1, axes),
            c.node.intAttribute("group", 1));
  }

  private static void maxPool(LoweringContext c) {
    Operand x = c.in(0);
    int axes = x.rank() - 2;
    if (c.node.outputs().size() > 1) {
      throw c.unsupported("indices as an output");
    }
    Padded padded = padded(c, c.tensor(x), axes, "float(\"-inf\")");
    c.measured(
        x.dtype(),
        x.rank(),
        "torch.max_pool%dd(%s, %s, %s, %s, %s, %s)"
            .formatted(
                axes,
                padded.variable(),
                ints(c, "kernel_shape", 1, axes),
                ints(c, "strides", 1, axes),
                padded.symmetric(),
                ints(c, "dilations", 1, axes),
                c.node.intAttribute("ceil_mode", 0) == 1 ? "True" : "False"));
  }

  private static void averagePool(LoweringContext c) {
    Operand x = c.in(0);
    int axes = x.rank() - 2;
    long[] dilations = c.node.intsAttribute("dilations");
    long[] pads = c.node.intsAttribute("pads");
    boolean includePad = c.node.intAttribute("count_include_pad", 0) == 1;
    boolean even =
        pads == null
            || Arrays.equals(Arrays.copyOf(pads, axes), Arrays.copyOfRange(pads, axes, 2 * axes));
    if ((dilations != null && Arrays.stream(dilations).anyMatch(d -> d != 1)) || !even) {
      throw c.unsupported("dilations or uneven pads");
    }
    Padded padded = padded(c, c.tensor(x), axes, "0.");
    c.measured(
        x.dtype(),
        x.rank(),
        "torch.avg_pool%dd(%s, %s, %s, %s, %s, %s)"
            .formatted(
                axes,
                padded.variable(),
                ints(c, "kernel_shape", 1, axes),
                ints(c, "strides", 1, axes),
                padded.symmetric(),
                c.node.intAttribute("ceil_mode", 0) == 1 ? "True" : "False",
                includePad ? "True" : "False"));
  }

  private static void globalAveragePool(LoweringContext c) {
    Operand x = c.in(0);
    List<Integer> axes = new ArrayList<>();
    List<IntExpr> shape = new ArrayList<>(x.shape().subList(0, 2));
    for (int i = 2; i < x.rank(); i++) {
      axes.add(i);
      shape.add(IntExpr.of(1));
    }
    c.result(x.dtype(), shape, "torch.mean(" + c.tensor(x) + ", " + axes + ", True)");
  }

  private static void batchNorm(LoweringContext c) {
    Operand x = c.in(0);
    if (c.node.intAttribute("training_mode", 0) != 0) {
      throw c.unsupported("training_mode; export the model in evaluation mode");
    }
    String eps = ScriptWriter.number(c.node.floatAttribute("epsilon", 1e-5f));
    c.result(
        x.dtype(),
        x.shape(),
        "torch.batch_norm(%s, %s, %s, %s, %s, False, 0., %s, False)"
            .formatted(c.tensor(x), c.tensor(1), c.tensor(2), c.tensor(3), c.tensor(4), eps));
  }
}

package io.peft4j.compress.quantize;

import io.peft4j.PeftException;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** How the numbers of a weight are held. */
public sealed interface WeightFormat {
  /** The name that users give. */
  String label();

  /**
   * Puts the operators that compute a weight, and their constants, in the place of its initializer;
   * the value keeps its name.
   *
   * @param inputAxis the axis that the layer sums over
   * @param channelAxis the axis of its outputs
   */
  void store(GraphEditor editor, String name, Tensor weight, int inputAxis, int channelAxis);

  /**
   * 8 bits, one scale a channel: DequantizeLinear.
   *
   * @param symmetric whether 0 stands for 0 rather than a zero point for each channel
   */
  record Int8(boolean symmetric) implements WeightFormat {
    @Override
    public String label() {
      return "int8";
    }

    @Override
    public void store(
        GraphEditor editor, String name, Tensor weight, int inputAxis, int channelAxis) {
      linear(
          editor,
          name,
          symmetric
              ? Int8Channels.symmetric(weight, channelAxis, false)
              : Int8Channels.asymmetric(weight, channelAxis));
    }
  }

  /**
   * 4 bits, groups along the inputs with a scale and a zero point: DequantizeLinear in blocks, of
   * operator set 21.
   *
   * @param group how many weights share a scale
   */
  record Int4(int group) implements WeightFormat {
    public Int4 {
      if (group < 2) {
        throw new PeftException("a group must have at least 2 weights, was given " + group);
      }
    }

    @Override
    public String label() {
      return "int4";
    }

    @Override
    public void store(
        GraphEditor editor, String name, Tensor weight, int inputAxis, int channelAxis) {
      linear(editor, name, Groups.of(weight, inputAxis, group, DType.UINT4));
    }
  }

  /**
   * NF4: 4 bits that pick from 16 quantiles of a normal distribution, and a scale for each block.
   *
   * @param block how many weights, in row-major order, share a scale
   * @param doubled whether scales are held in 8 bits themselves, asymmetric, 256 of them sharing a
   *     float32 scale
   */
  record Nf4(int block, boolean doubled) implements WeightFormat {
    private static final int SCALES = 256;

    public Nf4 {
      if (block < 2) {
        throw new PeftException("a block must have at least 2 weights, was given " + block);
      }
    }

    @Override
    public String label() {
      return "nf4";
    }

    @Override
    public void store(
        GraphEditor editor, String name, Tensor weight, int inputAxis, int channelAxis) {
      NormalFloat4 made = NormalFloat4.of(weight, block);
      editor.removeInitializer(name);
      String indices = editor.constant(name + "_index", made.indices());
      String one = editor.constant(name + "_one", Tensor.scalar(1f));
      String real = editor.node(name + "_real", "DequantizeLinear", List.of(indices, one));
      String whole =
          editor.node(
              name + "_whole",
              "Cast",
              List.of(real),
              Map.of("to", Attribute.of((long) DType.INT32.onnxCode())));
      String codes = editor.constant(name + "_codes", NormalFloat4.codes());
      String picked = editor.node(name + "_picked", "Gather", List.of(codes, whole));
      String scaled =
          editor.node(name + "_scaled", "Mul", List.of(picked, scale(editor, name, made.scale())));
      if (made.indices().size() > weight.size()) {
        String flat = editor.constant(name + "_flat", Tensor.vector(-1));
        String row = editor.node(name + "_row", "Reshape", List.of(scaled, flat));
        String from = editor.constant(name + "_from", Tensor.vector(0));
        String to = editor.constant(name + "_to", Tensor.vector(weight.size()));
        scaled = editor.node(name + "_cut", "Slice", List.of(row, from, to));
      }
      String shape = editor.constant(name + "_shape", Tensor.vector(weight.shape()));
      editor.add(
          Node.of(name + "_weight", "Reshape", List.of(scaled, shape), List.of(name), Map.of()));
    }

    private String scale(GraphEditor editor, String name, Tensor scale) {
      Tensor column = scale.reshaped(scale.size(), 1);
      if (!doubled) {
        return editor.constant(name + "_absmax", column);
      }
      String value = editor.freshName(name + "_absmax");
      return dequantize(editor, value, Groups.of(column, 0, SCALES, DType.UINT8));
    }
  }

  private static void linear(GraphEditor editor, String name, QuantizedTensor weight) {
    editor.removeInitializer(name);
    dequantize(editor, name, weight);
  }

  /** A DequantizeLinear that makes a value of this name; gives the name. */
  private static String dequantize(GraphEditor editor, String name, QuantizedTensor held) {
    List<String> inputs = new ArrayList<>();
    inputs.add(editor.constant(name + "_quantized", held.values()));
    inputs.add(editor.constant(name + "_scale", held.scale()));
    Tensor zero = held.zero();
    // Written even where it is 0: ONNX Runtime 1.21 takes the type from it when it moves operators.
    Tensor written =
        zero == null ? Tensor.zeros(held.values().dtype(), held.scale().shape()) : zero;
    inputs.add(editor.constant(name + "_zero_point", written));
    Map<String, Attribute> attributes = new LinkedHashMap<>();
    attributes.put("axis", Attribute.of((long) held.axis()));
    if (held.block() != 0) {
      attributes.put("block_size", Attribute.of((long) held.block()));
    }
    editor.add(
        Node.of(name + "_DequantizeLinear", "DequantizeLinear", inputs, List.of(name), attributes));
    return name;
  }
}

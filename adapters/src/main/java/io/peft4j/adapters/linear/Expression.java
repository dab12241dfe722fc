package io.peft4j.adapters.linear;

import com.google.common.primitives.Ints;
import com.google.common.primitives.Longs;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * A value of a graph in the making, float32 unless said. Every call adds the nodes that compute a
 * further value; operands broadcast as in ONNX.
 */
public final class Expression {
  private final ExpressionGraph graph;
  private final String value;

  Expression(ExpressionGraph graph, String value) {
    this.graph = graph;
    this.value = value;
  }

  /**
   * A value of a graph, further ones of which belong to one module and one adapter.
   *
   * @param path of the module
   */
  public static Expression of(GraphEditor editor, String path, String adapter, String value) {
    return new ExpressionGraph(editor, path, adapter).of(value);
  }

  /** The name of the value in the graph. */
  public String value() {
    return value;
  }

  private Expression op(String op, Expression... others) {
    return op(op, Map.of(), others);
  }

  private Expression op(String op, Map<String, Attribute> attributes, Expression... others) {
    List<String> inputs =
        Stream.concat(Stream.of(this), Arrays.stream(others)).map(Expression::value).toList();
    return graph.node(op, inputs, attributes);
  }

  private Expression number(double number) {
    return graph.literal("number", Tensor.scalar((float) number));
  }

  private Expression whole(long... numbers) {
    return graph.literal("axes", Tensor.vector(numbers));
  }

  public Expression plus(Expression other) {
    return op("Add", other);
  }

  public Expression plus(double number) {
    return op("Add", number(number));
  }

  public Expression minus(Expression other) {
    return op("Sub", other);
  }

  /** The product element by element. */
  public Expression times(Expression other) {
    return op("Mul", other);
  }

  public Expression times(double factor) {
    return factor == 1 ? this : op("Mul", number(factor));
  }

  public Expression over(Expression other) {
    return op("Div", other);
  }

  public Expression negated() {
    return op("Neg");
  }

  public Expression abs() {
    return op("Abs");
  }

  public Expression sqrt() {
    return op("Sqrt");
  }

  public Expression sin() {
    return op("Sin");
  }

  public Expression cos() {
    return op("Cos");
  }

  public Expression exp() {
    return op("Exp");
  }

  public Expression relu() {
    return op("Relu");
  }

  public Expression sigmoid() {
    return op("Sigmoid");
  }

  public Expression tanh() {
    return op("Tanh");
  }

  /** Values outside the range become its bounds. */
  public Expression clipped(double least, double most) {
    return op("Clip", number(least), number(most));
  }

  /** The matrix product over the last two axes. */
  public Expression matmul(Expression other) {
    return op("MatMul", other);
  }

  /** The convolution with a weight, with the attributes of ONNX's Conv. */
  public Expression convolved(Expression weight, Map<String, Attribute> attributes) {
    return op("Conv", attributes, weight);
  }

  /** The last two axes of a matrix, [a, b], become [b, a]. */
  public Expression transposed() {
    return transposed(1, 0);
  }

  public Expression transposed(int... permutation) {
    return op("Transpose", Map.of("perm", Attribute.ofInts(longs(permutation))));
  }

  /** Other axes over the same elements; -1 stands for what is left. */
  public Expression reshaped(long... shape) {
    return op("Reshape", whole(shape));
  }

  public Expression unsqueezed(int axis) {
    return op("Unsqueeze", whole(axis));
  }

  public Expression squeezed(int axis) {
    return op("Squeeze", whole(axis));
  }

  public Expression expanded(long... shape) {
    return op("Expand", whole(shape));
  }

  /** The entries from start to below end of an axis. */
  public Expression sliced(int axis, long start, long end) {
    return op("Slice", whole(start), whole(end), whole(axis));
  }

  /** The entries of an axis that a whole-number value of any shape names. */
  public Expression gathered(int axis, Expression indices) {
    return op("Gather", Map.of("axis", Attribute.of((long) axis)), indices.cast(DType.INT64));
  }

  /** The entries of an axis that are named. */
  public Expression gathered(int axis, int... indices) {
    long[] entries = longs(indices);
    return gathered(axis, graph.literal("indices", Tensor.vector(entries)));
  }

  /**
   * A copy with some elements replaced.
   *
   * @param indices int64 [n, axes of this]
   * @param updates [n]
   */
  public Expression scattered(Expression indices, Expression updates) {
    return op("ScatterND", indices.cast(DType.INT64), updates);
  }

  public Expression concat(int axis, Expression... others) {
    return op("Concat", Map.of("axis", Attribute.of((long) axis)), others);
  }

  public Expression sum(int axis, boolean keepAxis) {
    return reduced("ReduceSum", axis, keepAxis);
  }

  public Expression mean(int axis, boolean keepAxis) {
    return reduced("ReduceMean", axis, keepAxis);
  }

  private Expression reduced(String op, int axis, boolean keepAxis) {
    return op(op, Map.of("keepdims", Attribute.of(keepAxis ? 1L : 0L)), whole(axis));
  }

  /** The Euclidean norm over an axis. */
  public Expression norm(int axis, boolean keepAxis) {
    return times(this).sum(axis, keepAxis).sqrt();
  }

  public Expression softmax(int axis) {
    return op("Softmax", Map.of("axis", Attribute.of((long) axis)));
  }

  /**
   * The largest entries of the last axis, in falling order.
   *
   * @param values [..., count]
   * @param indices int64 [..., count]
   */
  public record Largest(Expression values, Expression indices) {}

  /** The largest entries of the last axis. */
  public Largest largest(int count) {
    return graph.largest(this, count);
  }

  /** 1 / x. */
  public Expression inverted() {
    return op("Reciprocal");
  }

  /** The inverse of each matrix of the last two axes. */
  public Expression inverse() {
    return graph.contributed("Inverse", List.of(value));
  }

  /** Zeroes a share of the elements in training and enlarges the others; 0 adds nothing. */
  public Expression dropout(double share) {
    return share == 0 ? this : op("Dropout", number(share));
  }

  /** Normal numbers of this shape in training, zeros otherwise. */
  public Expression trainingNoise() {
    return graph.trainingNoise(this);
  }

  /** The same value, through which no gradient flows. */
  public Expression detached() {
    return graph.detached(this);
  }

  /** The same numbers in another type. */
  public Expression cast(DType type) {
    return op("Cast", Map.of("to", Attribute.of((long) type.onnxCode())));
  }

  private static long[] longs(int... numbers) {
    return Longs.toArray(Ints.asList(numbers));
  }
}

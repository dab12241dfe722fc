package io.peft4j.engine.torch;

import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What compiling knows of a value: its type and sizes, and one or more of: the variable that holds
 * it, its content as a constant, its content as whole numbers (scalars and vectors of shape
 * arithmetic).
 *
 * @param dtype element type as computed, after any remapping
 * @param shape one entry an axis
 * @param variable the TorchScript variable or argument that holds the tensor; null if there is none
 *     yet
 * @param constant the content, if it is known when compiling
 * @param ints the elements of an integer or bool value of rank 0 or 1, if they are numbers of shape
 *     arithmetic
 * @param name the name in the graph
 */
record Operand(
    DType dtype,
    List<IntExpr> shape,
    @Nullable String variable,
    @Nullable Tensor constant,
    @Nullable List<IntExpr> ints,
    String name) {

  static Operand variable(DType dtype, List<IntExpr> shape, String variable) {
    return new Operand(dtype, List.copyOf(shape), variable, null, null, "");
  }

  static Operand ints(DType dtype, List<IntExpr> elements, boolean scalar) {
    List<IntExpr> shape = scalar ? List.of() : List.of(IntExpr.of(elements.size()));
    return new Operand(dtype, shape, null, null, List.copyOf(elements), "");
  }

  static Operand constant(Tensor tensor, String name) {
    List<IntExpr> shape = Arrays.stream(tensor.shape()).mapToObj(IntExpr::of).toList();
    boolean whole = tensor.dtype().isInteger() && tensor.rank() <= 1 && tensor.size() <= 64;
    List<IntExpr> ints =
        whole ? Arrays.stream(tensor.toLongs()).mapToObj(IntExpr::of).toList() : null;
    return new Operand(tensor.dtype(), shape, null, tensor, ints, name);
  }

  int rank() {
    return shape.size();
  }

  /** The size of an axis; a negative one counts from the last. */
  IntExpr dim(int axis) {
    return shape.get(axis < 0 ? axis + shape.size() : axis);
  }

  boolean isScalarConstant() {
    return constant != null && constant.size() == 1;
  }

  /** The number that a constant of one element holds. */
  double scalar() {
    if (constant == null) {
      throw new IllegalStateException(name + " is no constant");
    }
    return constant.item();
  }

  Operand named(String newName) {
    return new Operand(dtype, shape, variable, constant, ints, newName);
  }

  Operand withVariable(String newVariable) {
    return new Operand(dtype, shape, newVariable, constant, ints, name);
  }
}

package io.peft4j.adapters.reft;

import io.peft4j.adapters.compose.Attachment;
import io.peft4j.adapters.compose.Nonlinearity;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import io.peft4j.math.Matrix;
import io.peft4j.math.Qr;

/** The change of states at a group of positions. */
final class ReftUnit {
  private final Reft method;
  private final Attachment at;
  private final String scope;
  private final int hidden;
  private final String weight;
  private final String bias;
  private final String projection;

  ReftUnit(Reft method, Attachment at, String module, String prefix) {
    this.method = method;
    this.at = at;
    scope = module + "." + prefix.substring(0, prefix.length() - 1);
    hidden = at.hiddenSize();
    int rank = method.rank();
    double bound = 1 / Math.sqrt(hidden);
    weight =
        at.parameter(module, prefix + "learned_source.weight", at.uniform(bound, rank, hidden));
    bias = at.parameter(module, prefix + "learned_source.bias", at.uniform(bound, rank));
    projection =
        method.orthogonal()
            ? orthogonal(module, prefix + "projection.parametrizations.weight.")
            : at.parameter(module, prefix + "projection.weight", at.uniform(bound, rank, hidden));
  }

  /**
   * R as torch's orthogonal parametrization makes it of a free matrix X [r, hidden] and a fixed
   * orthogonal base: R = (base H₁ … Hᵣ I D)ᵀ, with the Householder reflections Hᵢ = 1 - τᵢ vᵢ vᵢᵀ
   * of the columns vᵢ of Xᵀ below its diagonal, their diagonal elements one, τᵢ = 2 / |vᵢ|², and D
   * the whole part of X's diagonal, through which no gradient flows.
   */
  private String orthogonal(String module, String prefix) {
    int r = method.rank();
    String original = at.parameter(module, prefix + "original", negativeIdentity(r));
    String base = at.stored(module, prefix + "0.base", orthogonalBase());
    String name = scope + ".projection";
    String x = at.transposed(name, original, 1, 0);
    String identity = at.constant(name + ".identity", masked(r, (i, j) -> i == j));
    String below = at.constant(name + ".below", masked(r, (i, j) -> i > j));
    String vectors = at.node(name, "Add", at.node(name, "Mul", x, below), identity);
    String q = identity;
    for (int i = r - 1; i >= 0; i--) {
      q = reflected(name, q, column(name, vectors, i));
    }
    q = at.node(name, "Mul", q, signs(name, x, identity));
    String rotated = at.node(name, "MatMul", base, q);
    return at.transposed(name, rotated, 1, 0);
  }

  /** Q - (2 / |v|²) v (vᵀ Q); Q [hidden, r], v [hidden, 1]. */
  private String reflected(String name, String q, String v) {
    String turned = at.transposed(name, v, 1, 0);
    String norm = at.node(name, "MatMul", turned, v);
    String factor = at.node(name, "Div", at.number(name + ".two", 2), norm);
    String along = at.node(name, "MatMul", turned, q);
    String part = at.node(name, "Mul", at.node(name, "MatMul", v, along), factor);
    return at.node(name, "Sub", q, part);
  }

  private String column(String name, String x, int number) {
    return at.slice(name, x, 1, number, number + 1L);
  }

  private String signs(String name, String x, String identity) {
    String diagonal = at.sum(name, at.node(name, "Mul", x, identity), 0);
    return at.cast(name, at.cast(name, diagonal, DType.INT64), DType.FLOAT32);
  }

  private interface Choice {
    boolean test(int row, int column);
  }

  private Tensor masked(int columns, Choice choice) {
    float[] values = new float[hidden * columns];
    for (int i = 0; i < hidden; i++) {
      for (int j = 0; j < columns; j++) {
        values[i * columns + j] = choice.test(i, j) ? 1 : 0;
      }
    }
    return Tensor.ofFloats(new long[] {hidden, columns}, values);
  }

  private Tensor negativeIdentity(int rank) {
    float[] values = new float[rank * hidden];
    for (int i = 0; i < rank; i++) {
      values[i * hidden + i] = -1;
    }
    return Tensor.ofFloats(new long[] {rank, hidden}, values);
  }

  private Tensor orthogonalBase() {
    Matrix drawn = Matrix.of(at.normal(1, hidden, hidden));
    return Qr.of(drawn).q().toTensor(DType.FLOAT32);
  }

  /** The new states of old ones, [batch, n, hidden]. */
  String add(String x) {
    String source = at.linear(scope + ".learned_source", x, weight, bias);
    if (method.nonLinearity() != null) {
      source = Nonlinearity.add(at, scope + ".non_linearity", source, method.nonLinearity());
    }
    if (method.subtracting()) {
      String projected = at.linear(scope + ".projection", x, projection, null);
      source = at.node(scope, "Sub", source, projected);
    }
    String change = at.node(scope, "MatMul", source, projection);
    return at.dropout(scope + ".dropout", at.node(scope, "Add", x, change), method.dropout());
  }
}

/**
 * Linear algebra on float64 matrices: {@link io.peft4j.math.Matrix} with products, solving and
 * inverse; {@link io.peft4j.math.Svd}, {@link io.peft4j.math.Qr}, {@link io.peft4j.math.Cholesky},
 * {@link io.peft4j.math.SymmetricEigen}. Decompositions and products are computed by torch's LAPACK
 * and BLAS through the engine. Knows tensors and the engine; no model.
 */
@NullMarked
package io.peft4j.math;

import org.jspecify.annotations.NullMarked;

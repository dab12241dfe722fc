package io.peft4j.adapters.linear;

import io.peft4j.math.TorchGenerator;

/**
 * Different elements of a layer's weight [out, in], drawn as {@code torch.randperm} of a seeded
 * generator draws them.
 *
 * @param rows of each
 * @param columns of each
 */
public record MatrixPlaces(int[] rows, int[] columns) {
  /**
   * @param field the setting that says how many, for the error if the layer has fewer
   * @throws io.peft4j.PeftException if the layer has fewer
   */
  public static MatrixPlaces drawn(AdaptedLinear layer, String field, int count, int seed) {
    int size = Math.multiplyExact(layer.out(), layer.in());
    Checks.atMost(field, count, size, layer.path());
    int[] places = new TorchGenerator(seed).permutation(size, count);
    int[] rows = new int[count];
    int[] columns = new int[count];
    for (int k = 0; k < count; k++) {
      rows[k] = places[k] / layer.in();
      columns[k] = places[k] % layer.in();
    }
    return new MatrixPlaces(rows, columns);
  }
}

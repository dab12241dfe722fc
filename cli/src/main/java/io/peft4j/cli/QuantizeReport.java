package io.peft4j.cli;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonPropertyOrder;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What quantising did; scripts read it by these names.
 *
 * @param bytesBefore of the model as a float32 ONNX file
 * @param byteRatio after by before
 * @param examples how many rows the two were compared on; what has no labels has no accuracy
 * @param rows what they were: the data file, the calibration file, or made up
 * @param agreement the share of rows that get the same class
 * @param maxLogitDifference the largest difference of a score
 * @param relativeError the root mean square of the differences, by that of the scores
 * @param speedup how many times as many rows in the same time in ONNX Runtime
 * @param quantized paths of layers
 * @param left why other layers are as they were
 * @param sensitivity the layers, the most sensitive first; empty unless asked for
 */
@JsonInclude(JsonInclude.Include.NON_NULL)
@JsonPropertyOrder({
  "output",
  "mode",
  "type",
  "bytesBefore",
  "bytesAfter",
  "byteRatio",
  "rows",
  "examples",
  "accuracyBefore",
  "accuracyAfter",
  "agreement",
  "maxLogitDifference",
  "relativeError",
  "speedup",
  "quantized",
  "left",
  "sensitivity"
})
record QuantizeReport(
    String output,
    String mode,
    String type,
    long bytesBefore,
    long bytesAfter,
    double byteRatio,
    String rows,
    int examples,
    @Nullable Double accuracyBefore,
    @Nullable Double accuracyAfter,
    double agreement,
    double maxLogitDifference,
    double relativeError,
    double speedup,
    List<String> quantized,
    Map<String, String> left,
    List<Layer> sensitivity) {

  /**
   * One layer, quantised alone.
   *
   * @param weights how many numbers it holds
   */
  @JsonInclude(JsonInclude.Include.NON_NULL)
  @JsonPropertyOrder({"layer", "weights", "relativeError", "agreement", "accuracyChange"})
  record Layer(
      String layer,
      long weights,
      double relativeError,
      double agreement,
      @Nullable Double accuracyChange) {}

  /** The table that people read. */
  String text() {
    StringBuilder text = new StringBuilder();
    add(text, "%s %s: %d layers, %d left%n", mode, type, quantized.size(), left.size());
    add(text, "%-22s%14s%14s%n", "", "before", "after");
    add(text, "%-22s%,14d%,14d   %.3f of the bytes%n", "bytes", bytesBefore, bytesAfter, byteRatio);
    if (accuracyBefore != null && accuracyAfter != null) {
      add(
          text,
          "%-22s%12.2f %%%12.2f %%   %+.2f points%n",
          "accuracy",
          100 * accuracyBefore,
          100 * accuracyAfter,
          100 * (accuracyAfter - accuracyBefore));
    }
    add(text, "%-22s%14s%12.2f %%%n", "same class", "", 100 * agreement);
    add(text, "%-22s%14s%14.4f%n", "largest difference", "", maxLogitDifference);
    add(text, "%-22s%14s%14.4f%n", "relative error", "", relativeError);
    add(text, "%-22s%14s%12.2f x   in ONNX Runtime, here%n", "speed", "", speedup);
    add(text, "compared on %d rows of %s%n", examples, rows);
    if (!left.isEmpty()) {
      add(text, "left as they are%n");
      left.forEach((layer, reason) -> add(text, "  %s: %s%n", layer, reason));
    }
    if (!sensitivity.isEmpty()) {
      add(text, "%-44s%12s%12s%12s%n", "quantised alone", "weights", "error", "same class");
      for (Layer layer : sensitivity) {
        add(
            text,
            "  %-42s%,12d%12.4f%10.2f %%%n",
            layer.layer(),
            layer.weights(),
            layer.relativeError(),
            100 * layer.agreement());
      }
    }
    add(text, "%s written", output);
    return text.toString();
  }

  private static void add(StringBuilder text, String pattern, Object... values) {
    text.append(String.format(Locale.ROOT, pattern, values));
  }
}

package io.peft4j.cli;

import io.peft4j.RecipeException;
import io.peft4j.compress.quantize.Calibration;
import io.peft4j.compress.quantize.WeightFormat;
import io.peft4j.data.DataFiles;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * What {@code peft4j quantize} is asked to do.
 *
 * @param adapter merged before; null for none
 * @param output an ONNX file; for weight-only also a SafeTensors folder
 * @param format how weights are held; for the modes that compute in int8 that is int8
 * @param reduced whether int8 weights end at 64
 * @param calibrationRows the file that ranges and smoothing are found on; null for none
 * @param smoothing whether uneven inputs are smoothed
 * @param data the file that before and after are compared on; null for none
 * @param maxLoss what may be lost, in points; NaN to accept whatever it is
 * @param sensitivity whether each layer is tried
 */
record QuantizeJob(
    Path model,
    @Nullable Path adapter,
    Path output,
    Mode mode,
    WeightFormat format,
    boolean reduced,
    List<String> excluded,
    @Nullable Path calibrationRows,
    Calibration calibration,
    boolean smoothing,
    @Nullable Path data,
    DataFiles.Columns columns,
    int maxLength,
    double maxLoss,
    boolean sensitivity) {

  /** Whether an ONNX file is written rather than a SafeTensors folder. */
  boolean onnx() {
    return isOnnx(output);
  }

  private static boolean isOnnx(Path output) {
    return output.toString().endsWith(".onnx");
  }

  /** What computes with the integers. */
  enum Mode {
    DYNAMIC,
    STATIC,
    WEIGHT_ONLY;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    static Mode parse(String text) {
      for (Mode mode : values()) {
        if (mode.toString().equals(text)) {
          return mode;
        }
      }
      throw new RecipeException(
          "mode must be one of dynamic, static, weight-only, was '%s'".formatted(text));
    }
  }

  private static final List<String> KEYS =
      List.of(
          "model",
          "adapter",
          "output",
          "mode",
          "type",
          "group",
          "symmetric",
          "double_quantization",
          "reduce_range",
          "exclude",
          "max_loss",
          "sensitivity",
          "calibration.rows",
          "calibration.method",
          "calibration.percentile",
          "calibration.smoothing",
          "data.rows",
          "data.text",
          "data.second",
          "data.label",
          "data.max_length");

  QuantizeJob {
    excluded = List.copyOf(excluded);
    if (!isOnnx(output) && mode != Mode.WEIGHT_ONLY) {
      throw new RecipeException(
          "output must end in .onnx, was '%s'; only mode weight-only writes SafeTensors folders"
              .formatted(output));
    }
    if (mode != Mode.WEIGHT_ONLY && !format.label().equals("int8")) {
      throw new RecipeException(
          "type %s is for mode weight-only; nothing computes in it".formatted(format.label()));
    }
    if (mode == Mode.STATIC && calibrationRows == null) {
      throw new RecipeException(
          "mode static needs rows to find ranges on; give calibration a file of texts");
    }
    if (mode == Mode.WEIGHT_ONLY && calibrationRows != null) {
      throw new RecipeException(
          "mode weight-only does not look at calibration rows; leave them out");
    }
    if (!Double.isNaN(maxLoss) && data == null) {
      throw new RecipeException("max_loss needs rows to judge on; give data a file");
    }
  }

  /**
   * Reads a recipe.
   *
   * @param settings {@code key=value} that take the place of the file's
   * @throws RecipeException with file, line, key and what is allowed
   */
  static QuantizeJob read(Path file, List<String> settings) {
    RecipeKeys keys = RecipeKeys.read(file, KEYS, settings);
    String type = keys.text("type", "int8");
    String second = keys.text("data.second", "");
    Calibration.Method method = keys.choice("calibration.method", Calibration.Method.PERCENTILE);
    try {
      return new QuantizeJob(
          Path.of(keys.required("model")),
          path(keys.text("adapter", "")),
          Path.of(keys.required("output")),
          Mode.parse(keys.text("mode", type.equals("int8") ? "dynamic" : "weight-only")),
          format(
              type,
              keys.whole("group", 0),
              keys.flag("symmetric", true),
              keys.flag("double_quantization", false)),
          keys.flag("reduce_range", false),
          keys.texts("exclude"),
          path(keys.text("calibration.rows", "")),
          new Calibration(method, keys.number("calibration.percentile", PERCENTILE)),
          keys.flag("calibration.smoothing", true),
          path(keys.text("data.rows", "")),
          new DataFiles.Columns(
              keys.text("data.text", "text"),
              second.isEmpty() ? null : second,
              keys.text("data.label", "label")),
          keys.whole("data.max_length", 128),
          keys.number("max_loss", Double.NaN),
          keys.flag("sensitivity", false));
    } catch (RecipeException e) {
      String message = String.valueOf(e.getMessage());
      throw keys.isPlaced(message) ? e : new RecipeException(file + ": " + message, e);
    }
  }

  static final double PERCENTILE = 99.99;

  private static @Nullable Path path(String text) {
    return text.isEmpty() ? null : Path.of(text);
  }

  /**
   * A format by its name.
   *
   * @param group how many weights share a scale; 0 for what is usual
   */
  static WeightFormat format(String type, int group, boolean symmetric, boolean doubled) {
    return switch (type) {
      case "int8" -> new WeightFormat.Int8(symmetric);
      case "int4" -> new WeightFormat.Int4(group == 0 ? 32 : group);
      case "nf4" -> new WeightFormat.Nf4(group == 0 ? 64 : group, doubled);
      default ->
          throw new RecipeException(
              "type must be one of int8, int4, nf4, was '%s'".formatted(type));
    };
  }
}

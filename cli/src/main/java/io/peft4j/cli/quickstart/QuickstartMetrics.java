package io.peft4j.cli.quickstart;

import com.fasterxml.jackson.annotation.JsonPropertyOrder;

/**
 * What {@code metrics.json} of a quickstart holds; scripts read it by these names.
 *
 * @param baselineAccuracy of a linear classifier on the frozen encoder's vectors
 * @param adaptedAccuracy of base and adapter side by side
 * @param mergedAccuracy of the merged model in the training engine
 * @param exportedAccuracy of the ONNX file in ONNX Runtime
 * @param mergeMaxLogitDifference between adapted and merged model, over all test rows
 * @param exportMaxLogitDifference between merged model and ONNX file, over all test rows
 */
@JsonPropertyOrder({
  "baselineAccuracy",
  "adaptedAccuracy",
  "mergedAccuracy",
  "exportedAccuracy",
  "mergeMaxLogitDifference",
  "exportMaxLogitDifference",
  "trainableParameters",
  "totalParameters",
  "trainSeconds",
  "totalSeconds"
})
record QuickstartMetrics(
    double baselineAccuracy,
    double adaptedAccuracy,
    double mergedAccuracy,
    double exportedAccuracy,
    double mergeMaxLogitDifference,
    double exportMaxLogitDifference,
    long trainableParameters,
    long totalParameters,
    double trainSeconds,
    double totalSeconds) {}

package io.peft4j.train;

import io.peft4j.graph.Tensor;
import java.util.Map;

/**
 * All that a training needs to go on as if it had never stopped; the order of the rows and the
 * dropout follow from recipe and progress.
 *
 * @param seconds that it has taken so far
 * @param values of the parameters
 * @param best the values of the best epoch; empty before the end of the first
 */
record TrainingState(
    Progress progress,
    double seconds,
    Map<String, Tensor> values,
    AdamW.State optimizer,
    Map<String, Tensor> best) {}

package io.peft4j.train;

import com.google.common.hash.Hasher;
import com.google.common.hash.Hashing;
import io.peft4j.data.BatchSource;
import io.peft4j.graph.Graph;
import io.peft4j.task.Objective;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.TreeMap;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;

/**
 * What must be the same where a training goes on as where it stopped.
 *
 * @param model a hash of the graph, of every weight that does not train, and of the factors on
 *     learning rates
 * @param output the name of the output that the loss judges
 * @param rule the name of the adapter's {@link StepRule}
 * @param trainingData a hash of the lengths and labels of the rows
 * @param validationData likewise; null if nothing is validated
 */
record RunIdentity(
    Recipe recipe,
    String model,
    String output,
    String objective,
    String rule,
    String trainingData,
    @Nullable String validationData) {

  static RunIdentity of(
      Recipe recipe,
      Graph graph,
      Map<String, Double> rateFactors,
      String output,
      Objective objective,
      StepRule rule,
      BatchSource train,
      @Nullable BatchSource validation) {
    return new RunIdentity(
        recipe,
        hash(graph, rateFactors),
        output,
        objective.name(),
        rule.name(),
        hash(train),
        validation == null ? null : hash(validation));
  }

  private static String hash(Graph graph, Map<String, Double> rateFactors) {
    Hasher hasher = Hashing.sha256().newHasher();
    hasher.putString(new TreeMap<>(rateFactors).toString(), StandardCharsets.UTF_8);
    hasher.putString(graph.toText(), StandardCharsets.UTF_8);
    graph
        .initializers()
        .forEach(
            (name, tensor) -> {
              if (!graph.trainable().contains(name)) {
                CRC32C sum = new CRC32C(); // fast enough for gigabytes of weights
                sum.update(tensor.data());
                hasher.putLong(sum.getValue());
              }
            });
    return hasher.hash().toString();
  }

  private static String hash(BatchSource rows) {
    Hasher hasher = Hashing.sha256().newHasher();
    for (int row = 0; row < rows.size(); row++) {
      hasher.putInt(rows.length(row)).putLong(rows.label(row));
    }
    return hasher.hash().toString();
  }
}

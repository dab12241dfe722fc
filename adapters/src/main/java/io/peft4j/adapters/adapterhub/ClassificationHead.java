package io.peft4j.adapters.adapterhub;

import io.peft4j.PeftException;
import io.peft4j.RecipeException;
import io.peft4j.adapters.compose.Attachment;
import io.peft4j.adapters.compose.Nonlinearity;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.Dim;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.task.PooledHead;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * AdapterHub's head for classes: linear layers on the first token's features, dropout before each
 * and an activation behind all but the last. Makes the output {@code logits} [batch, labels], in
 * place of the model's own if it has one.
 *
 * @param layers how many linear layers
 * @param activation its name; null for none
 * @param usePooler whether the features are the model's {@code pooler_output}
 * @param bias whether the last layer has one
 * @param labels names of the classes in order
 * @param dropout the probability; negative where the model's own counts, which is taken to be 0
 */
public record ClassificationHead(
    int layers,
    @Nullable String activation,
    boolean usePooler,
    boolean bias,
    List<String> labels,
    double dropout) {
  static final String PREFIX = "heads.";
  private static final double DEVIATION = 0.02;

  public ClassificationHead {
    labels = List.copyOf(labels);
    activation = activation == null ? null : Nonlinearity.checked(activation);
    if (layers < 1 || labels.isEmpty()) {
      throw new RecipeException(
          "a head needs at least one layer and one label, was given %d and %d"
              .formatted(layers, labels.size()));
    }
    if (!(dropout < 1)) {
      throw new RecipeException("dropout_prob must be below 1, was " + dropout);
    }
  }

  void add(Attachment at) {
    int hidden = at.hiddenSize();
    String prefix = PREFIX + at.adapter() + ".";
    String x = features(at);
    int module = 0;
    for (int i = 0; i < layers; i++) {
      boolean last = i == layers - 1;
      x = at.dropout(prefix + module++, x, Math.max(0, dropout));
      int out = last ? labels.size() : hidden;
      x = linear(at, prefix + module++, x, hidden, out, !last || bias);
      if (!last && activation != null) {
        x = Nonlinearity.add(at, prefix + module++, x, activation);
      }
    }
    makeLogits(at, x);
  }

  private String features(Attachment at) {
    if (usePooler) {
      return output(at, "pooler_output");
    }
    String sequence = output(at, PooledHead.features(at.view().graph()).name());
    String first = at.constant(PREFIX + "first", Tensor.scalar(0L));
    return at.node(
        PREFIX + at.adapter(), "Gather", Map.of("axis", Attribute.of(1L)), sequence, first);
  }

  private static String output(Attachment at, String name) {
    if (at.view().graph().outputs().stream().noneMatch(v -> v.name().equals(name))) {
      throw new PeftException(
          "the adapter's head needs the output '%s', which model '%s' does not have"
              .formatted(name, at.view().graph().name()));
    }
    return name;
  }

  private static String linear(
      Attachment at, String scope, String x, int in, int out, boolean hasBias) {
    String weight = at.parameter("", scope + ".weight", at.normal(DEVIATION, out, in));
    String bias = hasBias ? at.parameter("", scope + ".bias", Attachment.filled(0, out)) : null;
    return at.linear(scope, x, weight, bias);
  }

  private void makeLogits(Attachment at, String x) {
    List<Value> outputs = new ArrayList<>(at.view().graph().outputs());
    outputs.removeIf(output -> output.name().equals(PooledHead.LOGITS));
    outputs.add(
        0,
        new Value(
            PooledHead.LOGITS, DType.FLOAT32, List.of(Dim.of("batch"), Dim.of(labels.size()))));
    at.editor().removeNodes(node -> node.outputs().contains(PooledHead.LOGITS));
    at.editor()
        .add(
            Node.of(
                "/" + PREFIX + at.adapter() + "/logits",
                "Identity",
                List.of(x),
                List.of(PooledHead.LOGITS),
                Map.of()));
    at.editor().clearOutputs();
    outputs.forEach(at.editor()::output);
  }
}

package io.peft4j.network;

import io.peft4j.PretrainedModel;
import io.peft4j.RecipeException;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/**
 * A multi-layer perceptron: linear layers with an activation between each two. Its modules are
 * numbered as those of {@code torch.nn.Sequential}, so linear layers have the even numbers and the
 * weights {@code 0.weight} [out, in], {@code 0.bias} [out], {@code 2.weight} and so on. Input:
 * {@link #INPUT} [batch, features]; output: {@link #LOGITS} [batch, outputs].
 */
public final class FeedForwardNetwork {
  /** The name of the input. */
  public static final String INPUT = "input";

  /** The name of the output before any sigmoid or softmax. */
  public static final String LOGITS = "logits";

  /** The name of the second output that {@link Builder#sigmoidOutput} adds. */
  public static final String PROBABILITIES = "probabilities";

  private FeedForwardNetwork() {}

  public static Builder builder() {
    return new Builder();
  }

  private record Hidden(int size, Activation activation) {}

  /** Collects the layers. */
  public static final class Builder {
    private int inputs;
    private final List<Hidden> hidden = new ArrayList<>();
    private int outputs;
    private boolean sigmoid;
    private Initialisation initialisation = Initialisation.XAVIER_UNIFORM;
    private long seed;

    private Builder() {}

    /** The number of features. */
    public Builder input(int size) {
      inputs = atLeastOne("input", size);
      return this;
    }

    /** Adds a hidden layer behind those added before. */
    public Builder hidden(int size, Activation activation) {
      hidden.add(new Hidden(atLeastOne("hidden layer", size), activation));
      return this;
    }

    /** The number of scores, which are given as they are. */
    public Builder output(int size) {
      outputs = atLeastOne("output", size);
      sigmoid = false;
      return this;
    }

    /**
     * The number of scores; beside them the network gives their sigmoids. Train on the scores, with
     * the binary cross entropy that takes them.
     */
    public Builder sigmoidOutput(int size) {
      outputs = atLeastOne("output", size);
      sigmoid = true;
      return this;
    }

    /** How weights start; biases start at zero. Xavier's uniform distribution if not set. */
    public Builder initialisation(Initialisation value) {
      initialisation = value;
      return this;
    }

    /** Decides the start values; 0 if not set. */
    public Builder seed(long value) {
      seed = value;
      return this;
    }

    private static int atLeastOne(String what, int size) {
      if (size < 1) {
        throw new RecipeException(
            "the size of the %s must be at least 1, was %d".formatted(what, size));
      }
      return size;
    }

    /**
     * Makes the network.
     *
     * @throws RecipeException if the size of input or output was not given
     */
    public PretrainedModel build() {
      atLeastOne("input", inputs);
      atLeastOne("output", outputs);
      GraphEditor editor = new GraphEditor("network");
      editor.input(Value.of(INPUT, DType.FLOAT32, "batch", inputs));
      SplittableRandom random = new SplittableRandom(seed);
      String x = INPUT;
      int width = inputs;
      int module = 0;
      for (Hidden layer : hidden) {
        String sum = editor.freshName("/" + module + "/Add_output_0");
        linear(editor, module++, x, width, layer.size(), random.split(), sum);
        x = activation(editor, module++, layer.activation(), sum);
        width = layer.size();
      }
      linear(editor, module++, x, width, outputs, random.split(), LOGITS);
      editor.output(Value.of(LOGITS, DType.FLOAT32, "batch", outputs));
      if (sigmoid) {
        String op = Activation.SIGMOID.op();
        editor.add(
            Node.of(
                "/" + module + "/" + op, op, List.of(LOGITS), List.of(PROBABILITIES), Map.of()));
        editor.output(Value.of(PROBABILITIES, DType.FLOAT32, "batch", outputs));
      }
      return PretrainedModel.of(editor.build());
    }

    private void linear(
        GraphEditor editor,
        int module,
        String x,
        int in,
        int out,
        SplittableRandom random,
        String output) {
      String scope = "/" + module + "/";
      String weight = module + ".weight";
      String bias = module + ".bias";
      editor.initializer(weight, initialisation.draw(random, in, out));
      editor.initializer(bias, Tensor.zeros(DType.FLOAT32, out));
      String transposed =
          editor.node(
              scope + "Transpose",
              "Transpose",
              List.of(weight),
              Map.of("perm", Attribute.ofInts(1, 0)));
      String product = editor.node(scope + "MatMul", "MatMul", List.of(x, transposed));
      editor.add(Node.of(scope + "Add", "Add", List.of(product, bias), List.of(output), Map.of()));
    }

    private static String activation(
        GraphEditor editor, int module, Activation activation, String x) {
      return editor.node("/" + module + "/" + activation.op(), activation.op(), List.of(x));
    }
  }
}

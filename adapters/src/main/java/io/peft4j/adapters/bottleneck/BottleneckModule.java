package io.peft4j.adapters.bottleneck;

import io.peft4j.RecipeException;
import io.peft4j.adapters.compose.Attachment;
import io.peft4j.adapters.compose.Nonlinearity;
import io.peft4j.adapters.compose.ResidualSum;
import io.peft4j.adapters.compose.TransformerLayer;
import io.peft4j.graph.DType;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * The bottlenecks of one adapter, placed one by one. The steps are those of AdapterHub: what is
 * read and what is added to it ({@link #input}, {@link #residual}), the bottleneck itself ({@link
 * #up}, {@link #output}), and the block's own sum and norm behind it ({@link #join}).
 */
public final class BottleneckModule {
  private static final String NORM_AFTER = "adapter_norm_after.";
  private static final double EPSILON = 1e-5; // torch's default
  private static final double GATE_DEVIATION = 0.02;

  private final Bottleneck method;
  private final Attachment at;
  private final String prefix;
  private final int hidden;
  private final Projection projection;
  private final @Nullable LayerDrop layerDrop;

  /**
   * @param at names the adapter
   */
  public BottleneckModule(Bottleneck method, Attachment at) {
    this.method = method;
    this.at = at;
    prefix = "adapters." + at.adapter() + ".";
    hidden = at.hiddenSize();
    Phm phm = method.phm();
    projection =
        phm == null
            ? new LinearProjection(method.start())
            : new PhmProjection(phm, at.names().model());
    layerDrop = method.dropFirst() == 0 ? null : new LayerDrop(at, method.dropFirst());
    requireLayers();
  }

  private void requireLayers() {
    for (int number : method.leaveOut()) {
      if (number < 0 || number >= at.layers().size()) {
        throw new RecipeException(
            "leave_out names layer %d, but the model has layers 0 to %d"
                .formatted(number, at.layers().size() - 1));
      }
    }
  }

  /** Whether a layer has bottlenecks. */
  public boolean isIn(TransformerLayer layer) {
    return !method.leaveOut().contains(layer.number());
  }

  /**
   * Keeps the coupling in the adapter's files where another one's is used: a composition has the
   * first one's.
   */
  public void keepCoupling() {
    Coupling coupling = method.coupling();
    if (coupling != null) {
      CouplingBlock.of(coupling, method.nonLinearity(), at);
      at.freeze(tensor -> tensor.parameter().startsWith("invertible_" + prefix));
    }
  }

  /** Keeps in the adapter's files what a fusion passes over of a bottleneck: gate and last norm. */
  public void keepUnused(String module) {
    if (method.gating()) {
      at.stored(module, gate("weight"), gateWeight());
      at.stored(module, gate("bias"), gateBias());
    }
    if (method.norms().after()) {
      at.stored(module, prefix + NORM_AFTER + "weight", Attachment.filled(1, hidden));
      at.stored(module, prefix + NORM_AFTER + "bias", Attachment.filled(0, hidden));
    }
  }

  private String gate(String name) {
    return prefix + "gate." + name;
  }

  private Tensor gateWeight() {
    return at.normal(GATE_DEVIATION, 1, hidden);
  }

  private static Tensor gateBias() {
    return Attachment.filled(0, 1);
  }

  /** Adds the coupling behind the embeddings, if there is one; after all layers. */
  public void addCoupling() {
    Coupling coupling = method.coupling();
    if (coupling != null) {
      new CouplingLayer(coupling, method.nonLinearity(), at).add();
    }
  }

  /** Adds a bottleneck at a place; gives the place as it is now. */
  public ResidualSum add(TransformerLayer layer, ResidualSum place, String module) {
    at.target(place.linear().path());
    at.mark();
    String input = input(place, module);
    String up = output(layer, module, input, up(layer, module, input));
    return join(place, module, withResidual(module, up, residual(place, module)));
  }

  /** What the bottleneck reads, float32. */
  public String input(ResidualSum place, String module) {
    String value =
        method.isParallel()
            ? place.residual()
            : method.norms().originalBefore() ? place.output() : place.hidden();
    return at.wide(module, value, place.linear().dtype());
  }

  /** What is added to the bottleneck's output, float32; null if nothing is. */
  public @Nullable String residual(ResidualSum place, String module) {
    if (method.isParallel()) {
      return null;
    }
    DType dtype = place.linear().dtype();
    return switch (method.norms().residual()) {
      case BLOCK -> at.wide(module, place.hidden(), dtype);
      case SUM -> at.wide(module, place.sum().output(), dtype);
      case INPUT -> input(place, module);
    };
  }

  /** The bottleneck's output times its scale. */
  public String up(TransformerLayer layer, String module, String x) {
    int width = method.reduction().width(hidden, layer.number());
    String down = prefix + "adapter_down.";
    String h = x;
    if (method.norms().before()) {
      h = norm(module, down + "0.", h);
    }
    String first = down + (method.norms().before() ? "1." : "0.");
    h = projection.add(at, module, first, true, h, hidden, width);
    h = Nonlinearity.add(at, module + "." + prefix + "non_linearity", h, method.nonLinearity());
    h = projection.add(at, module, prefix + "adapter_up.", false, h, width, hidden);
    if (method.stochasticDepth() > 0) {
      h = droppedByRow(module, h);
    }
    return method.scaling().add(at, module, prefix, h, hidden);
  }

  /** What the bottleneck gives, after dropout and gate. */
  private String output(TransformerLayer layer, String module, String x, String up) {
    String h = at.dropout(module + "." + prefix + "dropout", up, method.dropout());
    if (method.gating()) {
      String weight = at.parameter(module, gate("weight"), gateWeight());
      String bias = at.parameter(module, gate("bias"), gateBias());
      h = at.node(module, "Mul", h, at.gate(module + "." + prefix + "gate", x, weight, bias));
    }
    return layerDrop == null ? h : layerDrop.kept(layer.number(), module, h);
  }

  /** Each row whole or not at all, as torchvision's StochasticDepth in its mode "row". */
  private String droppedByRow(String module, String x) {
    String scope = module + ".stochastic_depth";
    String ones = at.forEachRow(scope, at.number(scope + ".one", 1), x, 1, 1);
    return at.node(scope, "Mul", x, at.dropout(scope, ones, method.stochasticDepth()));
  }

  /** The residual added, before or behind the norm at the end. */
  private String withResidual(String module, String up, @Nullable String residual) {
    Norms norms = method.norms();
    boolean first = residual != null && norms.residualBeforeAfter();
    String h = first && residual != null ? at.node(module, "Add", up, residual) : up;
    if (norms.after()) {
      h = norm(module, prefix + NORM_AFTER, h);
    }
    return residual == null || first ? h : at.node(module, "Add", h, residual);
  }

  private String norm(String module, String name, String x) {
    String weight = at.parameter(module, name + "weight", Attachment.filled(1, hidden));
    String bias = at.parameter(module, name + "bias", Attachment.filled(0, hidden));
    return at.layerNorm(LinearProjection.scope(module, name), x, weight, bias, EPSILON);
  }

  /**
   * Puts a result, float32, into the model: through the block's own sum and norm if they come after
   * the bottleneck; gives the place as it is now.
   */
  public ResidualSum join(ResidualSum place, String module, String result) {
    Norms norms = method.norms();
    String value = at.narrow(module, result, place.linear().dtype());
    if (method.isParallel()) {
      value = at.node(module, "Add", place.hidden(), value);
    }
    boolean twice = norms.originalBefore() && !method.isParallel();
    if (norms.originalAfter() && !twice) {
      at.rewire(place.sum(), place.hidden(), value);
      return new ResidualSum(
          place.linear(), value, place.residual(), place.sum(), place.norm(), place.output());
    }
    if (!norms.originalAfter()) {
      at.rewire(place.output(), value);
      return new ResidualSum(
          place.linear(), value, place.residual(), place.sum(), place.norm(), value);
    }
    return joinTwice(place, module, value);
  }

  /** A second sum and norm of the block's own kind behind the bottleneck. */
  private ResidualSum joinTwice(ResidualSum place, String module, String value) {
    String sum = at.node(module, "Add", value, place.residual());
    Node norm = place.norm();
    String output = sum;
    if (norm != null) {
      String scale = norm.requiredInput(1);
      String shift = norm.requiredInput(2);
      output = at.node(module, norm.op(), norm.attributes(), sum, scale, shift);
    }
    at.rewire(place.output(), output);
    return new ResidualSum(place.linear(), value, place.residual(), at.producer(sum), norm, output);
  }
}

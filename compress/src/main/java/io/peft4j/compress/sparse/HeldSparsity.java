package io.peft4j.compress.sparse;

import io.peft4j.PeftException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.freeze.FreezeMask;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import java.util.List;

/**
 * Recovery: a sparse model trains on, and what is zero in the targets stays zero.
 *
 * @param targets layers whose zeros are held
 * @param trains what trains beside the weights of the targets
 */
public record HeldSparsity(Targets targets, FreezeMask trains) implements AdapterMethod {
  public static final String NAME = "held-sparsity";

  /** All weights train; the zeros of all linear layers but the head are held. */
  public static HeldSparsity all() {
    return new HeldSparsity(Targets.allLinear(), FreezeMask.all());
  }

  @Override
  public String name() {
    return NAME;
  }

  /**
   * {@inheritDoc}
   *
   * @throws PeftException if no weight of the targets is zero, too
   */
  @Override
  public AttachedAdapter attach(Graph base, String adapter, long seed) {
    List<SparseLayer> layers = SparseLayer.of(base, targets);
    AttachedAdapter dense = MaskedWeights.train(base, adapter, seed, layers, trains);
    GraphEditor editor = dense.graph().edit().tagging(adapter);
    boolean sparse = false;
    for (SparseLayer layer : layers) {
      Tensor weight = base.initializer(layer.weight());
      sparse |= SparseLayer.zeros(weight) > 0;
      MaskedWeights.add(editor, layer, weight.cast(DType.BOOL).cast(DType.FLOAT32));
    }
    if (!sparse) {
      throw new PeftException(
          "no weight of the targets is zero in model '%s'; make it sparse first"
              .formatted(base.name()));
    }
    return new AttachedAdapter(
        adapter, this, base, editor.build(), dense.tensors(), dense.targets());
  }

  @Override
  public Graph merge(AttachedAdapter adapter) {
    return MaskedWeights.merged(adapter, SparseLayer.of(adapter.base(), targets)).build();
  }
}

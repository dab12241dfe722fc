package io.peft4j.adapters.freeze;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.peft4j.PeftException;
import io.peft4j.adapter.DataProbe;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.engine.torch.TorchParameters;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** How much the loss depends on each element of some weights. */
final class FisherInformation {
  private FisherInformation() {}

  /**
   * The diagonal of the empirical Fisher information, up to a factor: Σ (∂L/∂w)² over single rows.
   *
   * @return the sums of each weight, in the weights' order
   * @throws PeftException if they are all zero, or one is not finite
   */
  static List<float[]> of(Graph base, List<String> weights, DataProbe probe) {
    GraphEditor editor = base.edit().freezeAll();
    weights.forEach(name -> FreezeMask.train(editor, name, base));
    List<float[]> scores = new ArrayList<>();
    try (TorchProgram program =
            TorchEngine.compile(probe.judged(editor.build()), CompileOptions.evaluation());
        NDManager manager = NDManager.newBaseManager("PyTorch")) {
      TorchParameters parameters = program.parameters();
      List<NDArray> sums = new ArrayList<>();
      for (String name : weights) {
        NDArray like = parameters.array(name);
        sums.add(manager.zeros(like.getShape(), like.getDataType()));
      }
      for (Map<String, Tensor> batch : probe.batches()) {
        Map<String, Tensor> inputs = new LinkedHashMap<>(batch);
        inputs.keySet().retainAll(program.inputNames());
        int rows = Math.toIntExact(inputs.values().iterator().next().dim(0));
        for (int row = 0; row < rows; row++) {
          int one = row;
          Map<String, Tensor> single = new LinkedHashMap<>(inputs);
          single.replaceAll((name, tensor) -> tensor.selected(0, one));
          program.backward(single, DataProbe.LOSS);
          for (int i = 0; i < sums.size(); i++) {
            try (NDArray gradient = parameters.array(weights.get(i)).getGradient();
                NDArray square = gradient.square()) {
              sums.get(i).addi(square);
            }
          }
          parameters.zeroGradients();
        }
      }
      sums.forEach(sum -> scores.add(sum.toFloatArray()));
    }
    check(scores);
    return scores;
  }

  private static void check(List<float[]> scores) {
    boolean any = false;
    for (float[] score : scores) {
      for (float value : score) {
        if (!Float.isFinite(value)) {
          throw new PeftException(
              "a gradient of the model is not finite on the training data; look for wrong rows");
        }
        any |= value > 0;
      }
    }
    if (!any) {
      throw new PeftException(
          "choice fisher finds no gradient at any selected weight, so it has nothing to go by;"
              + " choose magnitude or random");
    }
  }
}

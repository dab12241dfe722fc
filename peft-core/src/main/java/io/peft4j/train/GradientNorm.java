package io.peft4j.train;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.peft4j.engine.torch.TorchParameters;
import java.util.Set;

/** The length of all gradients taken as one vector. */
final class GradientNorm {
  private GradientNorm() {}

  /**
   * Scales the gradients so that their common norm is at most a limit, as {@code
   * torch.nn.utils.clip_grad_norm_}: by limit / (norm + 1e-6) where that is below 1.
   *
   * @param names of the parameters that are looked at
   * @param limit the largest norm; 0 only measures
   * @return the norm before scaling
   */
  static double clip(TorchParameters parameters, Set<String> names, double limit) {
    try (NDManager scratch = NDManager.newBaseManager("PyTorch")) {
      double sum = 0;
      for (String name : names) {
        NDArray gradient = gradient(parameters, name, scratch);
        sum +=
            gradient.square().sum().toType(ai.djl.ndarray.types.DataType.FLOAT64, true).getDouble();
      }
      double norm = Math.sqrt(sum);
      double factor = limit / (norm + 1e-6);
      if (limit > 0 && factor < 1) {
        for (String name : names) {
          gradient(parameters, name, scratch).muli(factor);
        }
      }
      return norm;
    }
  }

  private static NDArray gradient(TorchParameters parameters, String name, NDManager scratch) {
    NDArray gradient = parameters.array(name).getGradient();
    gradient.attach(scratch);
    return gradient;
  }
}

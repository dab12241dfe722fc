package io.peft4j.engine.torch;

import ai.djl.MalformedModelException;
import ai.djl.Model;
import ai.djl.engine.EngineException;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.nn.Block;
import ai.djl.training.GradientCollector;
import ai.djl.training.ParameterStore;
import io.peft4j.PeftException;
import io.peft4j.engine.DeclaredInputs;
import io.peft4j.engine.Program;
import io.peft4j.graph.Tensor;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A graph compiled for PyTorch. Frozen weights stay in the memory that their tensors have, mapped
 * files included; parameters are those it was compiled with. Not for use by several threads at
 * once.
 */
public final class TorchProgram implements Program {
  private final String name;
  private final TorchCompiler.Script script;
  private final TorchParameters parameters;
  private final boolean ownsParameters;
  private final Model model;
  private final Block block;
  private final ParameterStore store;
  private final NDList fixedArguments = new NDList();

  TorchProgram(String name, TorchCompiler.Script script, TorchParameters parameters, boolean owns) {
    ownsParameters = owns;
    this.name = name;
    this.script = script;
    this.parameters = parameters;
    model = Model.newInstance("m", "PyTorch");
    try {
      model.load(new ByteArrayInputStream(TorchScriptArchive.pack(script.source())), null);
    } catch (IOException | MalformedModelException | EngineException e) {
      model.close();
      throw new PeftException(
          "the PyTorch engine does not take model '" + name + "': " + reason(e), e);
    }
    block = model.getBlock();
    NDManager manager = model.getNDManager();
    store = new ParameterStore(manager, false);
    script
        .weights()
        .values()
        .forEach(w -> fixedArguments.add(named(TorchTensors.share(manager, w), "w[]")));
    // The list is bound by order; a second array object on the same storage would have no gradient.
    script.parameters().forEach(p -> fixedArguments.add(named(parameters.array(p), "a[]")));
  }

  private static NDArray named(NDArray array, String argument) {
    array.setName(argument);
    return array;
  }

  @Override
  public List<String> inputNames() {
    return declared().names();
  }

  @Override
  public List<String> outputNames() {
    return script.outputs();
  }

  /** The parameters that this program reads, which may be shared. */
  public TorchParameters parameters() {
    return parameters;
  }

  /** The TorchScript source; for debugging. */
  public String source() {
    return script.source();
  }

  @Override
  public Map<String, Tensor> run(Map<String, Tensor> inputs) {
    try (NDManager step = TorchEngine.engine().newBaseManager()) {
      return results(forward(step, inputs, false));
    } catch (EngineException e) {
      throw failed(e);
    }
  }

  /**
   * Runs forward and backward: the gradients of a scalar output are added to those of the
   * parameters.
   *
   * @param inputs by name
   * @param loss the output to derive, of one element
   * @return every output
   */
  public Map<String, Tensor> backward(Map<String, Tensor> inputs, String loss) {
    int position = script.outputs().indexOf(loss);
    if (position < 0) {
      throw new PeftException("model '" + name + "' has no output '" + loss + "' to derive");
    }
    try (NDManager step = TorchEngine.engine().newBaseManager();
        GradientCollector collector = TorchEngine.engine().newGradientCollector()) {
      NDList outputs = forward(step, inputs, true);
      collector.backward(outputs.get(position));
      return results(outputs);
    } catch (EngineException e) {
      throw failed(e);
    }
  }

  private NDList forward(NDManager step, Map<String, Tensor> inputs, boolean training) {
    NDList arguments = new NDList();
    for (Tensor tensor : declared().inOrder(inputs)) {
      arguments.add(TorchTensors.share(step, tensor));
    }
    arguments.addAll(fixedArguments);
    return block.forward(store, arguments, training);
  }

  private DeclaredInputs declared() {
    return new DeclaredInputs(name, script.inputs());
  }

  private Map<String, Tensor> results(NDList outputs) {
    Map<String, Tensor> results = new LinkedHashMap<>();
    for (int i = 0; i < outputs.size(); i++) {
      results.put(script.outputs().get(i), TorchTensors.tensor(outputs.get(i)));
    }
    return results;
  }

  private PeftException failed(EngineException e) {
    return new PeftException("running model '" + name + "' failed: " + reason(e), e);
  }

  /** The line of torch's message that says what happened. */
  static String reason(Exception e) {
    String message = e.getMessage() == null ? e.toString() : e.getMessage();
    List<String> lines = message.lines().map(String::strip).filter(l -> !l.isEmpty()).toList();
    return lines.stream()
        .filter(l -> l.startsWith("RuntimeError") || l.startsWith("IndexError"))
        .findFirst()
        .orElse(lines.isEmpty() ? e.getClass().getSimpleName() : lines.get(0))
        .replaceFirst("^(RuntimeError|IndexError): ", "");
  }

  @Override
  public void close() {
    model.close();
    if (ownsParameters) {
      parameters.close();
    }
  }
}

package io.peft4j.engine.torch;

import ai.djl.MalformedModelException;
import ai.djl.Model;
import ai.djl.engine.EngineException;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.training.ParameterStore;
import io.peft4j.PeftException;
import io.peft4j.graph.Tensor;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.util.List;
import java.util.stream.IntStream;

/**
 * A function of torch's own that no graph expresses, as a TorchScript expression of its arguments
 * {@code x0}, {@code x1}, … Lives as long as the JVM; may be called by several threads, one of
 * which computes at a time.
 */
public final class TorchFunction {
  private final String name;
  private final Model model; // its finaliser would free the block
  private final ParameterStore store;

  private TorchFunction(String name, String source) {
    this.name = name;
    model = Model.newInstance("m", TorchEngine.engine().getEngineName());
    try {
      model.load(new ByteArrayInputStream(TorchScriptArchive.pack(source)), null);
    } catch (IOException | MalformedModelException | EngineException e) {
      model.close();
      throw new PeftException("the PyTorch engine does not know " + name + ": " + e, e);
    }
    store = new ParameterStore(model.getNDManager(), false);
  }

  /**
   * Compiles a function.
   *
   * @param name for messages
   * @param arguments how many tensors it takes
   * @param expression gives one tensor
   */
  public static TorchFunction of(String name, int arguments, String expression) {
    ScriptWriter script = new ScriptWriter();
    String result = script.assign(expression);
    return new TorchFunction(name, script.module(names(arguments), false, List.of(result)));
  }

  /**
   * Compiles a function with several results.
   *
   * @param results how many tensors the tuple holds that the expression gives
   */
  public static TorchFunction ofTuple(String name, int arguments, String expression, int results) {
    ScriptWriter script = new ScriptWriter();
    String tuple = script.assign(expression);
    List<String> parts =
        IntStream.range(0, results).mapToObj(i -> "(" + tuple + ")[" + i + "]").toList();
    return new TorchFunction(name, script.module(names(arguments), false, parts));
  }

  private static List<String> names(int arguments) {
    return IntStream.range(0, arguments).mapToObj(i -> "x" + i).toList();
  }

  /**
   * Computes.
   *
   * @throws PeftException if torch cannot, a matrix being singular for example
   */
  public synchronized List<Tensor> apply(Tensor... arguments) {
    try (NDManager step = TorchEngine.engine().newBaseManager()) {
      NDList given = new NDList();
      for (Tensor argument : arguments) {
        given.add(TorchTensors.share(step, argument));
      }
      return model.getBlock().forward(store, given, false).stream()
          .map(TorchTensors::tensor)
          .toList();
    } catch (EngineException e) {
      throw new PeftException(name + " failed: " + TorchProgram.reason(e), e);
    }
  }
}

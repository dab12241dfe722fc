package io.peft4j.engine;

import io.peft4j.PeftException;
import java.util.ServiceLoader;

/** The inference engines on the class path. */
public final class InferenceEngines {
  /** The name of ONNX Runtime's engine. */
  public static final String ONNX_RUNTIME = "onnxruntime";

  private InferenceEngines() {}

  /**
   * The engine of this name.
   *
   * @throws PeftException if it is not on the class path
   */
  public static InferenceEngine named(String name) {
    return ServiceLoader.load(InferenceEngine.class).stream()
        .map(ServiceLoader.Provider::get)
        .filter(engine -> engine.name().equals(name))
        .findFirst()
        .orElseThrow(
            () ->
                new PeftException(
                    "there is no engine '" + name + "' on the class path; add the module loaders"));
  }
}

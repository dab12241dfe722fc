package io.peft4j.loaders.onnxruntime;

import ai.djl.MalformedModelException;
import ai.djl.Model;
import ai.djl.engine.Engine;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtSession.SessionOptions;
import com.google.common.io.MoreFiles;
import com.google.common.io.RecursiveDeleteOption;
import io.peft4j.PeftException;
import io.peft4j.UnsupportedModelException;
import io.peft4j.engine.DeclaredInputs;
import io.peft4j.engine.InferenceEngine;
import io.peft4j.engine.Program;
import io.peft4j.format.Checkpoint;
import io.peft4j.format.Formats;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Value;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** ONNX Runtime: runs what is exported, as everybody else will. */
public final class OnnxRuntimeEngine implements InferenceEngine {
  private static final String DJL_NAME = "OnnxRuntime";

  /**
   * The version of ONNX Runtime. DJL's engine is started first: it cannot start where another has
   * made the one environment of a process before.
   */
  public static String version() {
    Engine.getEngine(DJL_NAME);
    return OrtEnvironment.getEnvironment().getVersion();
  }

  @Override
  public String name() {
    return "onnxruntime";
  }

  @Override
  public Program compile(Graph graph) {
    try {
      Path folder = Files.createTempDirectory("peft4j-onnx");
      try {
        Path file = folder.resolve("model.onnx");
        Formats.modelNamed("onnx")
            .write(new Checkpoint(file, "onnx", graph, "", List.of()), graph, file);
        return program(file, graph);
      } finally {
        // The session has read the file whole.
        MoreFiles.deleteRecursively(folder, RecursiveDeleteOption.ALLOW_INSECURE);
      }
    } catch (IOException e) {
      throw new PeftException(
          "a temporary ONNX file cannot be written (%s); check the space in the temporary folder"
              .formatted(e.getMessage()),
          e);
    }
  }

  @Override
  public Program open(Path onnxFile) {
    return program(onnxFile, Formats.modelNamed("onnx").read(onnxFile).graph());
  }

  /**
   * @param graph what the file holds, for the names and types of inputs and outputs
   */
  private static Program program(Path file, Graph graph) {
    Model model = Model.newInstance("peft4j", DJL_NAME);
    try {
      model.load(file.toAbsolutePath(), null, Map.of("sessionOptions", quiet()));
    } catch (IOException | MalformedModelException | OrtException e) {
      model.close();
      throw new UnsupportedModelException(
          "%s: ONNX Runtime cannot load it: %s".formatted(file, reason(e)), e);
    }
    List<Value> inputs =
        graph.inputs().stream().filter(v -> !graph.initializers().containsKey(v.name())).toList();
    return new OnnxRuntimeProgram(
        model,
        new DeclaredInputs(graph.name(), inputs),
        graph.outputs().stream().map(Value::name).toList());
  }

  /**
   * Options of a session that does not log: what fails is thrown, and standard error is not ours.
   * Closed with the model.
   */
  private static SessionOptions quiet() throws OrtException {
    SessionOptions options = new SessionOptions();
    options.setSessionLogLevel(OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL);
    return options;
  }

  /** What ONNX Runtime says, which names the node, without where in its sources it says so. */
  static String reason(Throwable error) {
    Throwable cause = error;
    while (cause.getCause() != null) {
      cause = cause.getCause();
    }
    String message = cause.getMessage() == null ? "no reason given" : cause.getMessage();
    return message
        .replaceAll("^Error code - \\w+ - message: ", "")
        .replaceAll("/onnxruntime_src/\\S+:\\d+ [^(]*\\([^)]*\\) ", "")
        .replaceAll("\\s+", " ")
        .strip();
  }
}

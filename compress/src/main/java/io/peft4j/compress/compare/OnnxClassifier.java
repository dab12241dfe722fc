package io.peft4j.compress.compare;

import ai.onnxruntime.NodeInfo;
import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.TensorInfo;
import io.peft4j.PeftException;
import io.peft4j.data.Dataset;
import io.peft4j.data.Example;
import io.peft4j.data.TextBatches;
import io.peft4j.data.TextTokenizer;
import io.peft4j.data.TextTokenizers;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import java.nio.FloatBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * A classifier in ONNX Runtime, from texts to scores. The session is opened on the file and nothing
 * else reads the file, so that the memory of the process is that of the model.
 */
final class OnnxClassifier implements AutoCloseable {
  private final OrtSession session;
  private final TextTokenizer tokenizer;
  private final List<Example> texts;
  private final List<String> inputs;
  private final String output;

  private OnnxClassifier(
      OrtSession session, TextTokenizer tokenizer, List<Example> texts, String output) {
    this.session = session;
    this.tokenizer = tokenizer;
    this.texts = texts;
    this.inputs = List.copyOf(session.getInputNames());
    this.output = output;
  }

  static OnnxClassifier open(WorkerMessage.Job job) {
    TextTokenizer tokenizer = TextTokenizers.open(Path.of(job.tokenizer()), job.maxLength());
    try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
      if (job.threads() > 0) {
        options.setIntraOpNumThreads(job.threads());
      }
      OrtSession session = OrtEnvironment.getEnvironment().createSession(job.onnx(), options);
      List<Example> texts =
          job.texts().stream().map(t -> new Example(t.first(), t.second(), null, 0)).toList();
      return new OnnxClassifier(session, tokenizer, texts, job.output());
    } catch (OrtException e) {
      throw new PeftException("ONNX Runtime cannot load it: " + reason(e), e);
    }
  }

  int size() {
    return texts.size();
  }

  /** The length of a text in characters. */
  int length(int row) {
    Example text = texts.get(row);
    return text.text().length() + (text.second() == null ? 0 : text.second().length());
  }

  /** Tokenizes some texts, pads them to the longest, and runs them in one call. */
  float[][] scores(int[] rows) {
    Dataset chosen = new Dataset("batch", Arrays.stream(rows).mapToObj(texts::get).toList());
    Map<String, Tensor> batch =
        new TextBatches(chosen, new long[0], tokenizer, inputs)
            .batch(IntStream.range(0, rows.length).toArray());
    Map<String, OnnxTensor> given = new LinkedHashMap<>();
    try {
      for (Map.Entry<String, Tensor> entry : batch.entrySet()) {
        given.put(entry.getKey(), tensor(entry.getKey(), entry.getValue()));
      }
      try (OrtSession.Result result = session.run(given, java.util.Set.of(output))) {
        FloatBuffer flat = ((OnnxTensor) result.get(0)).getFloatBuffer();
        float[][] scores = new float[rows.length][flat.remaining() / rows.length];
        for (float[] row : scores) {
          flat.get(row);
        }
        return scores;
      }
    } catch (OrtException e) {
      throw new PeftException("ONNX Runtime failed: " + reason(e), e);
    } finally {
      given.values().forEach(OnnxTensor::close);
    }
  }

  private OnnxTensor tensor(String input, Tensor ids) throws OrtException {
    NodeInfo node = session.getInputInfo().get(input);
    boolean narrow =
        node != null
            && node.getInfo() instanceof TensorInfo info
            && info.type == OnnxJavaType.INT32;
    Tensor typed = narrow ? ids.cast(DType.INT32) : ids;
    return OnnxTensor.createTensor(
        OrtEnvironment.getEnvironment(),
        typed.data(),
        typed.shape(),
        narrow ? OnnxJavaType.INT32 : OnnxJavaType.INT64);
  }

  private static String reason(OrtException error) {
    return String.valueOf(error.getMessage()).lines().findFirst().orElse("no reason given");
  }

  @Override
  public void close() {
    tokenizer.close();
    try {
      session.close();
    } catch (OrtException e) {
      throw new PeftException("ONNX Runtime failed: " + reason(e), e);
    }
  }
}

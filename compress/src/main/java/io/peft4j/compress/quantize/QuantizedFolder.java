package io.peft4j.compress.quantize;

import io.peft4j.UnsupportedModelException;
import io.peft4j.format.AtomicWrite;
import io.peft4j.format.Checkpoint;
import io.peft4j.format.Formats;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.QuantizedTensors;
import io.peft4j.loaders.safetensors.SafeTensors;
import io.peft4j.loaders.safetensors.SafeTensorsFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * SafeTensors folders with weights in few bits, {@link QuantizedTensors} says how. Opened again, a
 * folder is the model with the numbers that the bits stand for.
 */
public final class QuantizedFolder {
  private final Map<String, Tensor> tensors;
  private final Map<String, Map<String, Object>> entries = new LinkedHashMap<>();

  private QuantizedFolder(Map<String, Tensor> tensors) {
    this.tensors = new LinkedHashMap<>(tensors);
  }

  /**
   * Writes a folder, whole or not at all.
   *
   * @param origin a SafeTensors folder; its config.json and tokenizer are taken over
   * @param graph the model with float weights
   * @param way which weights are held how
   * @return paths of the layers, and why others are left
   * @throws UnsupportedModelException if the origin is no SafeTensors folder, or cannot express the
   *     graph
   */
  public static QuantizedModel write(Checkpoint origin, Graph graph, WeightOnly way, Path target) {
    requireFolder(origin);
    QuantizedModel chosen = way.apply(graph);
    AtomicWrite.folder(
        target,
        folder -> {
          Path plain = folder.resolve("plain");
          Formats.modelNamed("safetensors").write(origin, graph, plain);
          SafeTensorsFile whole = SafeTensors.read(plain.resolve("model.safetensors"));
          QuantizedFolder made = new QuantizedFolder(whole.tensors());
          for (QuantizableLayer layer : way.layers(graph)) {
            if (chosen.quantized().contains(layer.path())
                && made.tensors.containsKey(layer.weight())) {
              made.hold(layer, way.format());
            }
          }
          Map<String, String> metadata = new LinkedHashMap<>(whole.metadata());
          metadata.put(QuantizedTensors.METADATA_KEY, Checkpoint.text(made.entries));
          try (var files = Files.list(plain)) {
            for (Path file : files.toList()) {
              if (!file.getFileName().toString().endsWith(".safetensors")) {
                Files.move(file, folder.resolve(file.getFileName()));
              }
            }
          }
          SafeTensors.write(folder.resolve("model.safetensors"), made.tensors, metadata);
          Files.delete(plain.resolve("model.safetensors"));
          Files.delete(plain);
        });
    return chosen;
  }

  /**
   * Refuses a checkpoint that no folder can be written after.
   *
   * @throws UnsupportedModelException if it is no SafeTensors folder
   */
  public static void requireFolder(Checkpoint origin) {
    if (!origin.format().equals("safetensors")) {
      throw new UnsupportedModelException(
          "%s is no SafeTensors folder, which one is written after; write an .onnx file"
              .formatted(origin.source()));
    }
  }

  private void hold(QuantizableLayer layer, WeightFormat format) {
    String name = layer.weight();
    Tensor weight = layer.tensor();
    tensors.remove(name);
    if (format instanceof WeightFormat.Int8 int8) {
      linear(
          name,
          "int8",
          int8.symmetric()
              ? Int8Channels.symmetric(weight, layer.channelAxis(), false)
              : Int8Channels.asymmetric(weight, layer.channelAxis()));
    } else if (format instanceof WeightFormat.Int4 int4) {
      linear(name, "int4", Groups.of(weight, layer.inputAxis(), int4.group(), DType.UINT4));
    } else if (format instanceof WeightFormat.Nf4 nf4) {
      NormalFloat4 made = NormalFloat4.of(weight, nf4.block());
      entries.put(name, Map.of("format", "nf4", "shape", weight.shape(), "block", nf4.block()));
      tensors.put(name + ".quantized", bytes(made.indices()));
      tensors.put(name + ".code", NormalFloat4.codes());
      if (nf4.doubled()) {
        linear(name + ".scale", "int8", Groups.of(made.scale(), 0, 256, DType.UINT8));
      } else {
        tensors.put(name + ".scale", made.scale());
      }
    }
  }

  private void linear(String name, String format, QuantizedTensor held) {
    entries.put(
        name,
        Map.of(
            "format", format,
            "shape", held.values().shape(),
            "axis", held.axis(),
            "block", held.block()));
    tensors.put(name + ".quantized", bytes(held.values()));
    tensors.put(name + ".scale", held.scale());
    Tensor zero = held.zero();
    if (zero != null) {
      tensors.put(name + ".zero", bytes(zero));
    }
  }

  /** 4-bit numbers as the bytes that they lie in. */
  private static Tensor bytes(Tensor tensor) {
    return tensor.dtype() == DType.UINT4
        ? Tensor.of(DType.UINT8, new long[] {tensor.byteSize()}, tensor.data())
        : tensor;
  }
}

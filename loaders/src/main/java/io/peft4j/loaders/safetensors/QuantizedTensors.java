package io.peft4j.loaders.safetensors;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.peft4j.CheckpointFormatException;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.passes.Dequantization;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * SafeTensors files that hold weights in few bits. Under {@link #METADATA_KEY} the file's metadata
 * has a JSON object with an entry for each such weight: {@code format} (int8, int4 or nf4), {@code
 * shape} and, for int8 and int4, {@code axis} and {@code block} with the meaning of ONNX's
 * DequantizeLinear (block 0: one scale an index of the axis); for nf4 {@code block}, how many
 * numbers in row-major order share a scale. Its tensors are {@code <name>.quantized} (int8 I8 or U8
 * in the weight's shape; 4-bit numbers two a byte in a flat U8, the first in the low bits), {@code
 * <name>.scale} (F32), where there are zero points {@code <name>.zero} (as the values), and for nf4
 * {@code <name>.code} with the 16 numbers that indices stand for. Scales that are in 8 bits
 * themselves are a weight of their own, {@code <name>.scale}.
 */
public final class QuantizedTensors {
  /** The key of the metadata. */
  public static final String METADATA_KEY = "peft4j.quantization";

  private static final ObjectMapper JSON = new ObjectMapper();

  private final Path file;
  private final Map<String, Tensor> tensors;

  private QuantizedTensors(SafeTensorsFile file) {
    this.file = file.file();
    tensors = new LinkedHashMap<>(file.tensors());
  }

  /**
   * The file with its quantised weights as float32 ones, made when first looked at; the file as it
   * is if it has none.
   *
   * @throws CheckpointFormatException if the metadata contradict the tensors
   */
  public static SafeTensorsFile dequantized(SafeTensorsFile file) {
    String text = file.metadata().get(METADATA_KEY);
    if (text == null) {
      return file;
    }
    QuantizedTensors held = new QuantizedTensors(file);
    JsonNode entries = held.parsed(text);
    // Scales that are quantised come after the weights that use them, and are wanted before.
    entries.properties().stream()
        .sorted((a, b) -> Integer.compare(b.getKey().length(), a.getKey().length()))
        .forEach(entry -> held.replace(entry.getKey(), entry.getValue()));
    return new SafeTensorsFile(file.file(), held.tensors, file.metadata());
  }

  private JsonNode parsed(String text) {
    try {
      JsonNode entries = JSON.readTree(text);
      if (entries.isObject()) {
        return entries;
      }
    } catch (JsonProcessingException e) {
      throw damaged(METADATA_KEY, "is no valid JSON");
    }
    throw damaged(METADATA_KEY, "is no JSON object");
  }

  private void replace(String name, JsonNode entry) {
    String format = entry.path("format").asText();
    long[] shape = JSON.convertValue(entry.path("shape"), long[].class);
    int block = entry.path("block").asInt();
    Tensor values = taken(name, ".quantized");
    Tensor scale = taken(name, ".scale");
    try {
      tensors.put(
          name,
          switch (format) {
            case "int8" -> linear(name, values.reshaped(shape), scale, entry);
            case "int4" -> linear(name, packed(values, shape), scale, entry);
            case "nf4" ->
                Dequantization.codebook(
                    packed(values, 2 * values.size()), taken(name, ".code"), scale, block, shape);
            default -> throw damaged(name, "has the unknown format '" + format + "'");
          });
    } catch (IllegalArgumentException | IndexOutOfBoundsException e) {
      throw new CheckpointFormatException(
          "%s: the quantised tensor '%s' contradicts its metadata (%s); get the file again"
              .formatted(file, name, e.getMessage()),
          e);
    }
  }

  private Tensor linear(String name, Tensor values, Tensor scale, JsonNode entry) {
    Tensor zero = tensors.remove(name + ".zero");
    boolean narrow = values.dtype() == DType.UINT4;
    return Dequantization.linear(
        values,
        scale,
        zero == null ? null : narrow ? packed(zero, scale.shape()) : zero,
        entry.path("axis").asInt(),
        entry.path("block").asInt());
  }

  private static Tensor packed(Tensor bytes, long... shape) {
    return Tensor.of(DType.UINT4, shape, bytes.data());
  }

  private Tensor taken(String name, String part) {
    Tensor tensor = tensors.remove(name + part);
    if (tensor == null) {
      throw damaged(name, "lacks its part '" + name + part + "'");
    }
    return tensor;
  }

  private CheckpointFormatException damaged(String name, String what) {
    return new CheckpointFormatException(
        "%s: '%s' %s; get the file again".formatted(file, name, what));
  }
}

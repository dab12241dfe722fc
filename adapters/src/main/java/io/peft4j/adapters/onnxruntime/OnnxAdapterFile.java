package io.peft4j.adapters.onnxruntime;

import io.peft4j.PeftException;
import io.peft4j.graph.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * ONNX Runtime's {@code .onnx_adapter}: a FlatBuffer with the identifier TORT. Its root is a table
 * Adapter {format_version, adapter_version, model_version: int; parameters: [Parameter]}, of tables
 * Parameter {name: string; dims: [int64]; data_type: int (of ONNX); raw_data: [ubyte]}.
 *
 * <p>A FlatBuffer is little-endian. An offset counts from where it stands; a table starts with the
 * way back to its vtable, which holds the size of itself, the size of the table, and where in it
 * each field stands.
 */
final class OnnxAdapterFile {
  private static final int VERSION = 1;
  private static final int FIELDS = 4;
  private static final int VTABLE = 4 + 2 * FIELDS;
  private static final int TABLE = 4 + 4 * FIELDS;

  private final ByteBuffer out;

  private OnnxAdapterFile(int size) {
    out = ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
  }

  /**
   * The file's bytes.
   *
   * @throws PeftException if they would be over 2 GiB
   */
  static byte[] of(Map<String, Tensor> parameters) {
    long size = 64;
    for (Map.Entry<String, Tensor> entry : parameters.entrySet()) {
      Tensor tensor = entry.getValue();
      // Tables, lengths and what brings each part to a multiple of 8.
      size += 4 + VTABLE + TABLE + 64L + 4L * entry.getKey().length() + 8L * tensor.rank();
      size += tensor.dtype().bytes(tensor.size());
    }
    if (size > Integer.MAX_VALUE - 64) {
      throw new PeftException(
          "an .onnx_adapter file holds at most 2 GiB, this one needs " + size + " bytes");
    }
    OnnxAdapterFile file = new OnnxAdapterFile((int) size);
    file.write(parameters);
    byte[] bytes = new byte[file.out.position()];
    file.out.flip().get(bytes);
    return bytes;
  }

  private void write(Map<String, Tensor> parameters) {
    out.putInt(0).put("TORT".getBytes(StandardCharsets.US_ASCII));
    int root = table();
    point(0, root);
    out.putInt(root + 4, VERSION).putInt(root + 8, VERSION).putInt(root + 12, VERSION);
    align(4, 0);
    point(root + 16, out.position());
    out.putInt(parameters.size());
    List<Integer> places = new ArrayList<>();
    for (int i = 0; i < parameters.size(); i++) {
      places.add(out.position());
      out.putInt(0);
    }
    int i = 0;
    for (Map.Entry<String, Tensor> entry : parameters.entrySet()) {
      point(places.get(i++), parameter(entry.getKey(), entry.getValue()));
    }
  }

  private int parameter(String name, Tensor tensor) {
    int table = table();
    out.putInt(table + 12, tensor.dtype().onnxCode());
    byte[] text = name.getBytes(StandardCharsets.UTF_8);
    align(4, 0);
    point(table + 4, out.position());
    out.putInt(text.length).put(text).put((byte) 0);
    align(8, 4); // the numbers behind the length lie on a multiple of 8
    point(table + 8, out.position());
    out.putInt(tensor.rank());
    for (long size : tensor.shape()) {
      out.putLong(size);
    }
    align(8, 4);
    point(table + 16, out.position());
    ByteBuffer data = tensor.data();
    out.putInt(data.remaining()).put(data.duplicate());
    return table;
  }

  /** A vtable and an empty table of four fields of 4 bytes; where the table starts. */
  private int table() {
    align(4, 0);
    int vtable = out.position();
    out.putShort((short) VTABLE).putShort((short) TABLE);
    for (int field = 0; field < FIELDS; field++) {
      out.putShort((short) (4 + 4 * field));
    }
    int table = out.position();
    out.putInt(table - vtable);
    for (int field = 0; field < FIELDS; field++) {
      out.putInt(0);
    }
    return table;
  }

  /** Writes an offset at a place, to a target behind it. */
  private void point(int place, int target) {
    out.putInt(place, target - place);
  }

  /** Goes on to a position that leaves this rest when divided. */
  private void align(int divisor, int rest) {
    while (out.position() % divisor != rest) {
      out.put((byte) 0);
    }
  }
}

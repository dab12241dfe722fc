package io.peft4j.engine.torch;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/** Packs TorchScript source as the archive that torch loads: four stored entries and no tensor. */
final class TorchScriptArchive {
  /**
   * The operator version of the format; lower ones change the meaning of div, gelu and full, 11 is
   * refused.
   */
  private static final String VERSION = "10\n";

  /** Pickle, protocol 2: the empty tuple. */
  private static final byte[] EMPTY_TUPLE = {(byte) 0x80, 2, ')', '.'};

  private TorchScriptArchive() {}

  static byte[] pack(String source) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (ZipOutputStream zip = new ZipOutputStream(bytes)) {
      put(zip, "m/data.pkl", module());
      put(zip, "m/constants.pkl", EMPTY_TUPLE);
      put(zip, "m/version", VERSION.getBytes(UTF_8));
      put(zip, "m/code/__torch__.py", source.getBytes(UTF_8));
    } catch (IOException e) {
      throw new UncheckedIOException(e); // memory does not fail to take bytes
    }
    return bytes.toByteArray();
  }

  /** Pickle, protocol 2: an instance of __torch__.M with the state {"training": True}. */
  private static byte[] module() {
    ByteArrayOutputStream pickle = new ByteArrayOutputStream();
    pickle.writeBytes(new byte[] {(byte) 0x80, 2, 'c'});
    pickle.writeBytes("__torch__\nM\n".getBytes(UTF_8));
    pickle.writeBytes(new byte[] {')', (byte) 0x81, '}', '(', 'X', 8, 0, 0, 0});
    pickle.writeBytes("training".getBytes(UTF_8));
    pickle.writeBytes(new byte[] {(byte) 0x88, 'u', 'b', '.'});
    return pickle.toByteArray();
  }

  private static void put(ZipOutputStream zip, String name, byte[] content) throws IOException {
    CRC32 crc = new CRC32();
    crc.update(content);
    ZipEntry entry = new ZipEntry(name);
    entry.setMethod(ZipEntry.STORED);
    entry.setSize(content.length);
    entry.setCrc(crc.getValue());
    entry.setTime(0);
    zip.putNextEntry(entry);
    zip.write(content);
    zip.closeEntry();
  }
}

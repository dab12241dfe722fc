package io.peft4j.adapters.adapterhub;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.peft4j.CheckpointFormatException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The texts of the configuration files of one adapter, kept together by the names of the files, so
 * that each is written back as it was.
 */
final class Texts {
  private Texts() {}

  static String read(Path file) {
    try {
      return Files.readString(file, UTF_8);
    } catch (IOException e) {
      throw new CheckpointFormatException(file + " cannot be read: " + e.getMessage(), e);
    }
  }

  static String join(Map<String, String> texts) {
    return NewConfig.text(new LinkedHashMap<>(texts));
  }

  /** The texts by file; none if there are none yet. */
  static Map<String, String> split(String joined) {
    Map<String, String> texts = new LinkedHashMap<>();
    if (joined.isEmpty()) {
      return texts;
    }
    ObjectNode node = NewConfig.object(joined);
    node.properties().forEach(entry -> texts.put(entry.getKey(), entry.getValue().textValue()));
    return texts;
  }
}

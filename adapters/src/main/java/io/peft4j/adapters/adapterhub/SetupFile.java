package io.peft4j.adapters.adapterhub;

import io.peft4j.CheckpointFormatException;
import io.peft4j.UnsupportedModelException;
import io.peft4j.adapters.peft.PeftConfig;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * {@code adapter_setup.json}: which adapters in the folders beside it work together, and how.
 *
 * @param isFusion whether they are fused rather than one behind the other
 * @param names of the adapters in order
 */
record SetupFile(boolean isFusion, List<String> names) {
  static final String NAME = "adapter_setup.json";
  private static final String SETUP = "adapter_setup";
  private static final String FUSE = "Fuse";
  private static final String STACK = "Stack";
  private static final String CHILDREN = "children";

  static boolean isIn(Path folder) {
    return Files.isRegularFile(folder.resolve(NAME));
  }

  static SetupFile read(Path file, String text) {
    PeftConfig setup = PeftConfig.parse(file, text).object(SETUP);
    if (setup == null) {
      throw new CheckpointFormatException(
          file + " lacks the object 'adapter_setup', which names the adapters; save them again");
    }
    String type = setup.text("type", "");
    List<String> names = new ArrayList<>();
    boolean areSingle = true;
    for (PeftConfig child : setup.objects(CHILDREN)) {
      areSingle &= child.text("type", "").equals("single");
      if (areSingle) {
        names.addAll(child.texts(CHILDREN));
      }
    }
    if (!areSingle || names.isEmpty() || !(type.equals(STACK) || type.equals(FUSE))) {
      throw new UnsupportedModelException(
          "%s: field 'adapter_setup' is %s, which is not supported; supported are Stack and Fuse of single adapters"
              .formatted(file, type + (areSingle ? "" : " of other compositions")));
    }
    return new SetupFile(type.equals(FUSE), names);
  }

  /** The names as a fusion of these adapters is called. */
  String joined() {
    return String.join(",", names);
  }

  /** The text of the file. */
  String text() {
    Map<String, @Nullable Object> setup = new LinkedHashMap<>();
    setup.put("type", isFusion ? FUSE : STACK);
    setup.put(
        CHILDREN,
        names.stream().map(name -> Map.of("type", "single", CHILDREN, List.of(name))).toList());
    Map<String, @Nullable Object> fields = new LinkedHashMap<>();
    fields.put(SETUP, setup);
    fields.put("head_setup", null);
    fields.put("version", NewConfig.VERSION);
    return NewConfig.text(fields);
  }
}

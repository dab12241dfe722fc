package io.peft4j.adapters.peft;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.common.collect.Iterables;
import com.google.common.collect.Streams;
import io.peft4j.CheckpointFormatException;
import io.peft4j.RecipeException;
import io.peft4j.UnsupportedModelException;
import io.peft4j.adapter.MethodSettings;
import io.peft4j.adapter.Targets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Function;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * A parsed {@code adapter_config.json}, or an object in one, whose fields are read with errors that
 * name file and field.
 */
public class PeftConfig implements MethodSettings {
  static final ObjectMapper JSON =
      JsonMapper.builder().enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION).build();

  private final Path file;
  private final String path;
  private final ObjectNode fields;

  /** A configuration whose targets have been found out. */
  private static final class WithTargets extends PeftConfig {
    private final String key;
    private final Targets targets;

    WithTargets(PeftConfig config, String key, Targets targets) {
      super(config.file, config.path, config.fields);
      this.key = key;
      this.targets = targets;
    }

    @Override
    public boolean has(String name) {
      return name.equals(key) || super.has(name);
    }

    @Override
    public @Nullable Targets targets(String name) {
      return name.equals(key) ? targets : super.targets(name);
    }
  }

  private PeftConfig(Path file, String path, ObjectNode fields) {
    this.file = file;
    this.path = path;
    this.fields = fields;
  }

  /**
   * Parses a file's text.
   *
   * @throws CheckpointFormatException if it is no JSON object
   */
  public static PeftConfig parse(Path file, String text) {
    try {
      if (JSON.readTree(text) instanceof ObjectNode object) {
        return new PeftConfig(file, "", object);
      }
    } catch (JsonProcessingException e) {
      throw new CheckpointFormatException(
          "%s is no valid JSON: %s; save the adapter again"
              .formatted(file, e.getOriginalMessage().lines().findFirst().orElse("")),
          e);
    }
    throw new CheckpointFormatException(file + " holds no JSON object; save the adapter again");
  }

  /** Fields that stand in no file; {@code source} names them in messages. */
  public static PeftConfig of(Path source, Map<String, ?> fields) {
    return new PeftConfig(source, "", JSON.valueToTree(fields));
  }

  /** The same configuration with another value in a field. */
  public PeftConfig with(String key, Object value) {
    ObjectNode changed = fields.deepCopy();
    changed.set(key, JSON.valueToTree(value));
    return new PeftConfig(file, path, changed);
  }

  /** The same configuration, where one field means these targets. */
  PeftConfig withTargets(String key, Targets targets) {
    return new WithTargets(this, key, targets);
  }

  /** The error for a value that a method's constructor refuses. */
  public CheckpointFormatException wrongValue(RecipeException e) {
    return new CheckpointFormatException(file + ": " + e.getMessage(), e);
  }

  @Override
  public boolean has(String key) {
    return field(key) != null;
  }

  private @Nullable JsonNode field(String key) {
    JsonNode value = fields.get(key);
    return value == null || value.isNull() ? null : value;
  }

  private CheckpointFormatException wrong(String key, String expected) {
    return new CheckpointFormatException(
        "%s: field '%s' must be %s, was %s".formatted(file, path + key, expected, fields.get(key)));
  }

  /** The object in a field; null if it is not given. */
  public @Nullable PeftConfig object(String key) {
    JsonNode value = field(key);
    if (value == null) {
      return null;
    }
    if (!(value instanceof ObjectNode object)) {
      throw wrong(key, "an object");
    }
    return new PeftConfig(file, path + key + ".", object);
  }

  /** The objects in the list of a field; none if it is not given. */
  public List<PeftConfig> objects(String key) {
    JsonNode value = field(key);
    List<PeftConfig> result = new ArrayList<>();
    for (JsonNode item : value == null ? List.<JsonNode>of() : items(key, value)) {
      if (!(item instanceof ObjectNode object)) {
        throw wrong(key, "a list of objects");
      }
      result.add(new PeftConfig(file, path + key + "." + result.size() + ".", object));
    }
    return result;
  }

  /** Whether a field holds a number. */
  public boolean isNumber(String key) {
    JsonNode value = field(key);
    return value != null && value.isNumber();
  }

  /** Whether a field holds a text. */
  public boolean isText(String key) {
    JsonNode value = field(key);
    return value != null && value.isTextual();
  }

  /** What a field holds, as JSON, for messages. */
  public String json(String key) {
    return String.valueOf(fields.get(key));
  }

  /** A field as messages name it: within the objects around it. */
  public String named(String key) {
    return path + key;
  }

  @Override
  public String text(String key, String absent) {
    JsonNode value = field(key);
    if (value == null) {
      return absent;
    }
    if (!value.isTextual()) {
      throw wrong(key, "a string");
    }
    return value.textValue();
  }

  @Override
  public int whole(String key, int absent) {
    JsonNode value = field(key);
    if (value == null) {
      return absent;
    }
    if (!value.isIntegralNumber() || !value.canConvertToInt()) {
      throw wrong(key, "a whole number");
    }
    return value.intValue();
  }

  @Override
  public double number(String key, double absent) {
    JsonNode value = field(key);
    if (value == null) {
      return absent;
    }
    if (!value.isNumber()) {
      throw wrong(key, "a number");
    }
    return value.doubleValue();
  }

  @Override
  public boolean flag(String key, boolean absent) {
    JsonNode value = field(key);
    if (value == null) {
      return absent;
    }
    if (!value.isBoolean()) {
      throw wrong(key, "true or false");
    }
    return value.booleanValue();
  }

  /** A list of strings; one string counts as a list of it. */
  @Override
  public List<String> texts(String key) {
    JsonNode value = field(key);
    List<String> result = new ArrayList<>();
    if (value != null && value.isTextual()) {
      result.add(value.textValue());
    } else if (value != null) {
      for (JsonNode item : items(key, value)) {
        if (!item.isTextual()) {
          throw wrong(key, "a string or a list of strings");
        }
        result.add(item.textValue());
      }
    }
    return result;
  }

  /** A list of whole numbers; one number counts as a list of it. */
  @Override
  public List<Integer> wholes(String key) {
    JsonNode value = field(key);
    List<Integer> result = new ArrayList<>();
    if (value != null && value.isInt()) {
      result.add(value.intValue());
    } else if (value != null) {
      for (JsonNode item : items(key, value)) {
        if (!item.isInt()) {
          throw wrong(key, "a whole number or a list of them");
        }
        result.add(item.intValue());
      }
    }
    return result;
  }

  private Iterable<JsonNode> items(String key, JsonNode value) {
    if (!value.isArray()) {
      throw wrong(key, "a list");
    }
    return value;
  }

  /** An object of numbers, in the order of the file. */
  @Override
  public Map<String, Double> numbers(String key) {
    return object(key, JsonNode::isNumber, JsonNode::doubleValue, "an object of numbers");
  }

  /** An object of whole numbers, in the order of the file. */
  @Override
  public Map<String, Integer> wholeNumbers(String key) {
    return object(key, JsonNode::isInt, JsonNode::intValue, "an object of whole numbers");
  }

  /** An object of lists of true and false, in the order of the file. */
  public Map<String, List<Boolean>> flagLists(String key) {
    return object(
        key,
        list -> list.isArray() && Iterables.all(list, JsonNode::isBoolean),
        list -> Streams.stream(list).map(JsonNode::booleanValue).toList(),
        "an object of lists of true and false");
  }

  private <T> Map<String, T> object(
      String key, Predicate<JsonNode> test, Function<JsonNode, T> read, String expected) {
    JsonNode value = field(key);
    Map<String, T> result = new LinkedHashMap<>();
    if (value == null) {
      return result;
    }
    if (!value.isObject()) {
      throw wrong(key, expected);
    }
    for (Map.Entry<String, JsonNode> entry : value.properties()) {
      if (!test.test(entry.getValue())) {
        throw wrong(key, expected);
      }
      result.put(entry.getKey(), read.apply(entry.getValue()));
    }
    return result;
  }

  /**
   * What modules are meant by a field that holds an expression or a list of names; null if it is
   * not given.
   */
  @Override
  public @Nullable Targets targets(String key) {
    JsonNode value = field(key);
    if (value == null) {
      return null;
    }
    boolean some = key.equals("target_modules"); // an adapter of nothing is a mistake
    if (value.isArray() && value.isEmpty() && !some) {
      return Targets.none();
    }
    if (value.isTextual()) {
      return value.textValue().toLowerCase(Locale.ROOT).equals("all-linear")
          ? Targets.allLinear()
          : Targets.matching(value.textValue());
    }
    return Targets.named(texts(key));
  }

  /**
   * Refuses a field that is set to something that is not supported.
   *
   * @param harmless values that change nothing, beside null, false, zero and empty ones
   * @throws UnsupportedModelException naming file, field and value
   */
  public void refuse(String key, String... harmless) {
    JsonNode value = field(key);
    boolean unset =
        value == null
            || (value.isBoolean() && !value.booleanValue())
            || (value.isNumber() && value.doubleValue() == 0)
            || (value.isContainerNode() && value.isEmpty())
            || (value.isTextual() && List.of(harmless).contains(value.textValue()));
    if (!unset) {
      throw new UnsupportedModelException(
          "%s: field '%s' is set to %s, which is not supported; merge the adapter with PEFT, or train one without it"
              .formatted(file, key, value));
    }
  }

  /** The text of a field that may hold a text or something else; empty if it is no text. */
  public String textOrEmpty(String key) {
    JsonNode value = field(key);
    return value != null && value.isTextual() ? value.textValue() : "";
  }

  /** All fields as texts, numbers, booleans, nulls, lists and maps. */
  Map<String, @Nullable Object> values() {
    return JSON.convertValue(fields, PeftFolder.FIELDS);
  }

  public Path file() {
    return file;
  }
}

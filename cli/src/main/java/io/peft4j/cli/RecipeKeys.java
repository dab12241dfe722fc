package io.peft4j.cli;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import com.google.common.primitives.Doubles;
import io.peft4j.PeftException;
import io.peft4j.RecipeException;
import io.peft4j.adapter.MethodSettings;
import io.peft4j.adapter.NearestNames;
import io.peft4j.adapter.Targets;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The keys of a recipe file, sections and names joined by dots, each with its value and where it
 * stands. Every error names that place.
 */
final class RecipeKeys {
  private static final String SET = "--set ";
  private static final ObjectMapper YAML =
      new ObjectMapper(
          YAMLFactory.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build());

  /**
   * One key's value.
   *
   * @param place the file and line, or the option, that it was given in
   */
  private record Entry(JsonNode value, String place) {}

  private final String source;
  private final Map<String, Entry> entries = new LinkedHashMap<>();

  private RecipeKeys(String source) {
    this.source = source;
  }

  /**
   * The keys that are given as {@code key=value}, without a file.
   *
   * @throws RecipeException if a setting has another form or an unknown key
   */
  static RecipeKeys of(Collection<String> allowed, List<String> settings) {
    RecipeKeys keys = new RecipeKeys("the settings");
    settings.forEach(setting -> keys.set(setting, allowed));
    return keys;
  }

  /**
   * Reads a file.
   *
   * @param allowed every key that may occur; a value may itself be a list or a map
   * @param settings {@code key=value} that take the place of the file's
   * @throws RecipeException if the file is no YAML, or a key is unknown or given twice
   */
  static RecipeKeys read(Path file, Collection<String> allowed, List<String> settings) {
    RecipeKeys keys = new RecipeKeys(file.toString());
    if (!Files.isRegularFile(file)) {
      throw new PeftException("recipe " + file + " does not exist; check the path");
    }
    try (JsonParser parser = YAML.createParser(file.toFile())) {
      if (parser.nextToken() != JsonToken.START_OBJECT) {
        throw new RecipeException(file + ": it holds no keys; see 'peft4j train --help'");
      }
      keys.readSection(parser, "", allowed);
    } catch (JsonProcessingException e) {
      throw new RecipeException(
          "%s, line %d: it is no valid YAML: %s"
              .formatted(
                  file,
                  e.getLocation() == null ? 0 : e.getLocation().getLineNr(),
                  Errors.oneLine(e.getOriginalMessage())),
          e);
    } catch (IOException e) {
      throw new PeftException("recipe %s cannot be read: %s".formatted(file, e.getMessage()), e);
    }
    settings.forEach(setting -> keys.set(setting, allowed));
    return keys;
  }

  private void readSection(JsonParser parser, String prefix, Collection<String> allowed)
      throws IOException {
    while (parser.nextToken() == JsonToken.FIELD_NAME) {
      String key = prefix + parser.currentName();
      String place = source + ", line " + parser.currentTokenLocation().getLineNr();
      boolean section = allowed.stream().anyMatch(a -> a.startsWith(key + "."));
      JsonToken token = parser.nextToken();
      if (section) {
        if (token != JsonToken.START_OBJECT) {
          throw new RecipeException(
              "%s: %s is a section; its keys are %s"
                  .formatted(
                      place,
                      key,
                      String.join(
                          ", ", allowed.stream().filter(a -> a.startsWith(key + ".")).toList())));
        }
        readSection(parser, key + ".", allowed);
      } else {
        requireKnown(key, place, allowed);
        entries.put(key, new Entry(parser.readValueAsTree(), place));
      }
    }
  }

  private static void requireKnown(String key, String place, Collection<String> allowed) {
    if (!allowed.contains(key)) {
      throw new RecipeException(
          "%s: the key '%s' is unknown; the nearest are %s"
              .formatted(place, key, NearestNames.of(key, allowed)));
    }
  }

  private void set(String setting, Collection<String> allowed) {
    int equals = setting.indexOf('=');
    String place = SET + setting;
    if (equals < 1) {
      throw new RecipeException(place + ": it must be key=value");
    }
    String key = setting.substring(0, equals);
    requireKnown(key, place, allowed);
    try {
      entries.put(key, new Entry(YAML.readTree(setting.substring(equals + 1)), place));
    } catch (JsonProcessingException e) {
      throw new RecipeException(place + ": the value is no valid YAML", e);
    }
  }

  /** Where a key stands, for messages. */
  String place(String key) {
    Entry entry = entries.get(key);
    return entry == null ? source : entry.place();
  }

  private @Nullable JsonNode value(String key) {
    Entry entry = entries.get(key);
    return entry == null || entry.value().isNull() || entry.value().isMissingNode()
        ? null
        : entry.value();
  }

  boolean has(String key) {
    return value(key) != null;
  }

  /** Whether a message already says where the wrong value stands. */
  boolean isPlaced(String message) {
    return message.startsWith(source) || isSetting(message);
  }

  /** Whether a message is about a {@code key=value}. */
  static boolean isSetting(String message) {
    return message.startsWith(SET);
  }

  String text(String key, String absent) {
    JsonNode value = value(key);
    if (value == null) {
      return absent;
    }
    if (!value.isValueNode()) {
      throw wrong(key, "a text", value);
    }
    return value.asText();
  }

  /** A text that must be there. */
  String required(String key) {
    String value = text(key, "");
    if (value.isEmpty()) {
      throw new RecipeException("%s: the key '%s' is missing; add it".formatted(source, key));
    }
    return value;
  }

  int whole(String key, int absent) {
    JsonNode value = value(key);
    if (value == null) {
      return absent;
    }
    if (!value.isIntegralNumber() || !value.canConvertToInt()) {
      throw wrong(key, "a whole number", value);
    }
    return value.intValue();
  }

  double number(String key, double absent) {
    JsonNode value = value(key);
    if (value == null) {
      return absent;
    }
    Double text = Doubles.tryParse(value.asText("none")); // YAML 1.1 takes 1e-3 for a text
    double number = value.isNumber() || text == null ? value.asDouble(Double.NaN) : text;
    if (!Double.isFinite(number)) {
      throw wrong(key, "a number", value);
    }
    return number;
  }

  boolean flag(String key, boolean absent) {
    JsonNode value = value(key);
    if (value == null) {
      return absent;
    }
    if (!value.isBoolean()) {
      throw wrong(key, "true or false", value);
    }
    return value.booleanValue();
  }

  <E extends Enum<E>> E choice(String key, E absent) {
    String text = text(key, "");
    if (text.isEmpty()) {
      return absent;
    }
    List<String> names = new ArrayList<>();
    for (E constant : absent.getDeclaringClass().getEnumConstants()) {
      if (constant.name().equalsIgnoreCase(text)) {
        return constant;
      }
      names.add(constant.name().toLowerCase(Locale.ROOT));
    }
    throw new RecipeException(
        "%s: %s must be one of %s, was '%s'"
            .formatted(place(key), key, String.join(", ", names), text));
  }

  /** A list of texts; a single text is a list of one. */
  List<String> texts(String key) {
    JsonNode value = value(key);
    if (value == null) {
      return List.of();
    }
    List<String> texts = new ArrayList<>();
    for (JsonNode item : value.isArray() ? value : List.of(value)) {
      if (!item.isValueNode() || item.isNull()) {
        throw wrong(key, "a text or a list of texts", value);
      }
      texts.add(item.asText());
    }
    return texts;
  }

  /** Whether a list was given rather than a single text. */
  boolean isList(String key) {
    JsonNode value = value(key);
    return value != null && value.isArray();
  }

  /** A map from texts to numbers. */
  Map<String, Double> numbers(String key) {
    JsonNode value = value(key);
    Map<String, Double> numbers = new LinkedHashMap<>();
    if (value == null) {
      return numbers;
    }
    if (!value.isObject()) {
      throw wrong(key, "a map from module patterns to numbers", value);
    }
    for (Map.Entry<String, JsonNode> entry : value.properties()) {
      if (!entry.getValue().isNumber() || !Double.isFinite(entry.getValue().doubleValue())) {
        throw wrong(key + "." + entry.getKey(), "a number", entry.getValue());
      }
      numbers.put(entry.getKey(), entry.getValue().doubleValue());
    }
    return numbers;
  }

  /** The keys of a section, for a method to read its settings from. */
  MethodSettings section(String name) {
    return new Section(this, name + ".");
  }

  private record Section(RecipeKeys all, String prefix) implements MethodSettings {
    @Override
    public boolean has(String key) {
      return all.has(prefix + key);
    }

    @Override
    public String text(String key, String absent) {
      return all.text(prefix + key, absent);
    }

    @Override
    public int whole(String key, int absent) {
      return all.whole(prefix + key, absent);
    }

    @Override
    public double number(String key, double absent) {
      return all.number(prefix + key, absent);
    }

    @Override
    public boolean flag(String key, boolean absent) {
      return all.flag(prefix + key, absent);
    }

    @Override
    public List<String> texts(String key) {
      return all.texts(prefix + key);
    }

    @Override
    public List<Integer> wholes(String key) {
      List<Integer> wholes = new ArrayList<>();
      for (String text : all.texts(prefix + key)) {
        try {
          wholes.add(Integer.valueOf(text));
        } catch (NumberFormatException e) {
          throw new RecipeException(
              "%s: %s must be a whole number or a list of them, has '%s'"
                  .formatted(all.place(prefix + key), prefix + key, text),
              e);
        }
      }
      return wholes;
    }

    @Override
    public Map<String, Double> numbers(String key) {
      return all.numbers(prefix + key);
    }

    @Override
    public Map<String, Integer> wholeNumbers(String key) {
      Map<String, Integer> wholes = new LinkedHashMap<>();
      numbers(key)
          .forEach(
              (name, number) -> {
                if (number != Math.rint(number)) {
                  throw new RecipeException(
                      "%s: %s must hold whole numbers, '%s' has %s"
                          .formatted(all.place(prefix + key), key, name, number));
                }
                wholes.put(name, number.intValue());
              });
      return wholes;
    }

    @Override
    public @Nullable Targets targets(String key) {
      List<String> given = texts(key);
      if (all.isList(prefix + key)) {
        return Targets.named(given);
      }
      return given.isEmpty() ? null : Targets.parse(given.get(0));
    }
  }

  private RecipeException wrong(String key, String expected, JsonNode value) {
    return new RecipeException(
        "%s: %s must be %s, was %s".formatted(place(key), key, expected, value));
  }
}

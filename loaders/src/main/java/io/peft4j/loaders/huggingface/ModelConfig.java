package io.peft4j.loaders.huggingface;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.NullNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.common.base.Splitter;
import com.google.common.collect.ImmutableSet;
import io.peft4j.CheckpointFormatException;
import io.peft4j.UnsupportedModelException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * A config.json. Remembers which keys were read, so that one which nobody understood can stop the
 * import instead of giving other numbers silently. A key whose value is null counts as absent.
 */
final class ModelConfig {
  private static final JsonMapper JSON =
      JsonMapper.builder()
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  /** Keys that change no output of a forward pass in any family. */
  private static final ImmutableSet<String> HARMLESS =
      ImmutableSet.copyOf(
          Splitter.on(' ')
              .split(
                  "_attn_implementation _attn_implementation_autoset _commit_hash _name_or_path"
                      + " _num_labels architectures attn_implementation begin_suppress_tokens"
                      + " bad_words_ids bos_token_id chunk_size_feed_forward cls_token_id"
                      + " diversity_penalty do_sample dtype early_stopping"
                      + " encoder_no_repeat_ngram_size eos_token_id"
                      + " exponential_decay_length_penalty finetuning_task forced_bos_token_id"
                      + " forced_eos_token_id gradient_checkpointing id2label initializer_factor"
                      + " initializer_range label2id length_penalty mask_token_id max_length"
                      + " min_length model_type no_repeat_ngram_size num_beam_groups num_beams"
                      + " num_labels num_return_sequences output_attentions output_hidden_states"
                      + " output_past output_scores pad_token_id prefix problem_type"
                      + " remove_invalid_values repetition_penalty return_dict"
                      + " return_dict_in_generate sep_token_id suppress_tokens"
                      + " task_specific_params temperature tf_legacy_loss tokenizer_class top_k"
                      + " top_p torch_dtype torchscript transformers_version typical_p"
                      + " unk_token_id use_bfloat16 use_cache"));

  private final Path file;
  private final JsonNode root;
  private final String modelType;

  /** What stands before the keys of this object in messages. */
  private final String prefix;

  private boolean changed;
  private final Set<String> understood = new HashSet<>();
  private final List<ModelConfig> sections = new ArrayList<>();

  private ModelConfig(Path file, JsonNode root, String modelType, String prefix) {
    this.file = file;
    this.root = root;
    this.modelType = modelType;
    this.prefix = prefix;
  }

  /**
   * @throws CheckpointFormatException if the file is missing or holds no JSON object
   */
  static ModelConfig read(Path file) {
    try {
      JsonNode root = JSON.readTree(Files.readAllBytes(file));
      if (!root.isObject()) {
        throw new CheckpointFormatException(
            file + ": it holds no JSON object; fetch the checkpoint again");
      }
      JsonNode type = root.get("model_type");
      if (type == null || !type.isTextual()) {
        throw new CheckpointFormatException(
            file + ": model_type is missing; add the name of the family, for example \"bert\"");
      }
      ModelConfig config = new ModelConfig(file, root, type.textValue(), "");
      config.understood.addAll(HARMLESS);
      return config;
    } catch (JsonProcessingException e) {
      throw new CheckpointFormatException(
          "%s: it is not sound JSON: %s; fetch the checkpoint again"
              .formatted(file, e.getOriginalMessage().replaceAll("\\s+", " ")),
          e);
    } catch (IOException e) {
      throw new CheckpointFormatException(
          file + ": cannot be read; a SafeTensors checkpoint needs a config.json beside it", e);
    }
  }

  /** The same configuration where the output layer has a weight of its own. */
  ModelConfig untied() {
    ObjectNode fields = root.deepCopy();
    fields.put("tie_word_embeddings", false);
    return changed(fields);
  }

  /** The same configuration where the classes have these names; itself if it says so. */
  ModelConfig naming(List<String> labels) {
    if (labels.size() != labelCount() || labels.equals(labels())) {
      return this;
    }
    ObjectNode fields = root.deepCopy();
    ObjectNode names = fields.putObject("id2label");
    ObjectNode numbers = fields.putObject("label2id");
    for (int i = 0; i < labels.size(); i++) {
      names.put(Integer.toString(i), labels.get(i));
      numbers.put(labels.get(i), i);
    }
    return changed(fields);
  }

  private ModelConfig changed(ObjectNode fields) {
    ModelConfig config = new ModelConfig(file, fields, modelType, prefix);
    config.understood.addAll(HARMLESS);
    config.changed = true;
    return config;
  }

  /** Whether this is no longer what the file says. */
  boolean isChanged() {
    return changed;
  }

  /** The configuration as config.json has it. */
  String toJson() {
    return root.toPrettyString() + "\n";
  }

  Path file() {
    return file;
  }

  private @Nullable JsonNode find(String key) {
    understood.add(key);
    JsonNode value = root.get(key);
    return value == null || value.isNull() ? null : value;
  }

  /** The value of {@code model_type}. */
  String modelType() {
    return modelType;
  }

  /** The object under a key, whose own keys must all be understood too; null if it is absent. */
  @Nullable ModelConfig section(String key) {
    JsonNode value = find(key);
    if (value == null) {
      return null;
    }
    if (!value.isObject()) {
      throw wrong(key, value, "an object");
    }
    ModelConfig section = new ModelConfig(file, value, modelType, prefix + key + ".");
    sections.add(section);
    return section;
  }

  /** Whether a key is there, be its value null. */
  boolean has(String key) {
    return root.has(key);
  }

  /** Whether a key has a value. */
  boolean isSet(String key) {
    return root.hasNonNull(key);
  }

  /** The classes that the checkpoint was saved from; empty if it does not say. */
  List<String> architectures() {
    JsonNode value = find("architectures");
    List<String> names = new ArrayList<>();
    if (value != null) {
      value.forEach(v -> names.add(v.asText()));
    }
    return names;
  }

  /** A whole number above zero. */
  int count(String key, int absent) {
    JsonNode value = find(key);
    if (value == null) {
      return absent;
    }
    if (!value.isIntegralNumber() || !value.canConvertToInt() || value.intValue() < 1) {
      throw wrong(key, value, "a whole number from 1 up");
    }
    return value.intValue();
  }

  /** A whole number above zero that divides another one without rest. */
  int divisor(String key, int absent, int dividend) {
    int value = count(key, absent);
    if (dividend % value != 0) {
      throw new UnsupportedModelException(
          "%s: %s is %d, which does not divide %d".formatted(file, prefix + key, value, dividend)
              + "; fetch the checkpoint again");
    }
    return value;
  }

  /** Whole numbers above zero; empty if the key is absent. */
  List<Integer> counts(String key) {
    JsonNode value = find(key);
    List<Integer> counts = new ArrayList<>();
    if (value != null) {
      for (JsonNode item : value) {
        if (!item.isIntegralNumber() || !item.canConvertToInt() || item.intValue() < 1) {
          throw wrong(key, value, "a list of whole numbers from 1 up");
        }
        counts.add(item.intValue());
      }
      if (counts.isEmpty()) {
        throw wrong(key, value, "a list of whole numbers from 1 up");
      }
    }
    return counts;
  }

  double number(String key, double absent) {
    JsonNode value = find(key);
    if (value == null) {
      return absent;
    }
    if (!value.isNumber()) {
      throw wrong(key, value, "a number");
    }
    return value.doubleValue();
  }

  /** A number above zero, which must be there. */
  double positive(String key) {
    double value = number(key, Double.NaN);
    if (!(value > 0) || Double.isInfinite(value)) {
      JsonNode given = find(key);
      throw wrong(key, given == null ? NullNode.getInstance() : given, "a number above 0");
    }
    return value;
  }

  /** A whole number of either sign. */
  long integer(String key, long absent) {
    JsonNode value = find(key);
    if (value == null) {
      return absent;
    }
    if (!value.isIntegralNumber() || !value.canConvertToLong()) {
      throw wrong(key, value, "a whole number");
    }
    return value.longValue();
  }

  /** Stops the import where a list has another item than these. */
  void everyItem(String key, Set<String> allowed) {
    JsonNode value = find(key);
    if (value == null) {
      return;
    }
    for (JsonNode item : value) {
      if (!allowed.contains(item.asText())) {
        throw wrong(key, value, "a list of nothing but " + String.join(", ", allowed));
      }
    }
  }

  /** A number from 0 to below 1. */
  double probability(String key, double absent) {
    double value = number(key, absent);
    if (!(value >= 0 && value < 1)) {
      throw new UnsupportedModelException(
          "%s: %s is %s; a probability from 0 to below 1 is needed"
              .formatted(file, prefix + key, value));
    }
    return value;
  }

  boolean flag(String key, boolean absent) {
    JsonNode value = find(key);
    if (value == null) {
      return absent;
    }
    if (!value.isBoolean()) {
      throw wrong(key, value, "true or false");
    }
    return value.booleanValue();
  }

  String text(String key, String absent) {
    JsonNode value = find(key);
    if (value == null) {
      return absent;
    }
    if (!value.isTextual()) {
      throw wrong(key, value, "a string");
    }
    return value.textValue();
  }

  /** One of several strings. */
  String choice(String key, String absent, Set<String> allowed) {
    String value = text(key, absent);
    if (!allowed.contains(value)) {
      throw new UnsupportedModelException(
          "%s: %s '%s' is not supported; supported are %s"
              .formatted(file, prefix + key, value, String.join(", ", allowed)));
    }
    return value;
  }

  /** Stops the import where a switch is on whose meaning is not built. */
  void mustBeOff(String... keys) {
    for (String key : keys) {
      JsonNode value = find(key);
      if (value != null && !isOff(value)) {
        throw new UnsupportedModelException(
            "%s: %s is %s, which is not supported for model_type '%s'; only without it can the"
                    .formatted(file, prefix + key, brief(value), modelType)
                + " checkpoint be read");
      }
    }
  }

  private static boolean isOff(JsonNode value) {
    return value.isContainerNode() ? value.isEmpty() : value.isBoolean() && !value.booleanValue();
  }

  /** Names keys that change no output of this family. */
  void harmless(String... keys) {
    understood.addAll(Arrays.asList(keys));
  }

  /** How many classes a head has. */
  int labelCount() {
    JsonNode names = find("id2label");
    return names == null || names.isEmpty() ? count("num_labels", 2) : names.size();
  }

  /** The names of the classes in order; empty if config.json does not say. */
  List<String> labels() {
    JsonNode names = find("id2label");
    List<String> labels = new ArrayList<>();
    for (int i = 0; names != null && i < names.size(); i++) {
      JsonNode label = names.get(Integer.toString(i));
      if (label == null) {
        return List.of();
      }
      labels.add(label.asText());
    }
    return labels;
  }

  /**
   * Stops the import if a key is left that the family did not ask for.
   *
   * @throws UnsupportedModelException naming the key
   */
  void rejectUnknown() {
    for (Map.Entry<String, JsonNode> entry : root.properties()) {
      if (!understood.contains(entry.getKey()) && !entry.getValue().isNull()) {
        throw new UnsupportedModelException(
            ("%s: %s (here %s) is not known for model_type '%s' and could change the outputs;"
                    + " remove the key if it does not matter")
                .formatted(file, prefix + entry.getKey(), brief(entry.getValue()), modelType));
      }
    }
    sections.forEach(ModelConfig::rejectUnknown);
  }

  private UnsupportedModelException wrong(String key, JsonNode value, String needed) {
    return new UnsupportedModelException(
        "%s: %s is %s; %s is needed".formatted(file, prefix + key, brief(value), needed));
  }

  private static String brief(JsonNode value) {
    String text = value.toString();
    return text.length() > 80 ? text.substring(0, 80) + "..." : text;
  }
}

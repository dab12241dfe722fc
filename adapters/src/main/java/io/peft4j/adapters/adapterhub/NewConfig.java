package io.peft4j.adapters.adapterhub;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.peft4j.PeftException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.graph.Graph;
import io.peft4j.site.FeedForwardSite;
import io.peft4j.site.Sites;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** The configuration file of an adapter that was made here. */
final class NewConfig {
  /** The version of the library whose files these are. */
  static final String VERSION = "adapters.1.2.0";

  private static final ObjectMapper JSON =
      new ObjectMapper()
          .enable(SerializationFeature.INDENT_OUTPUT)
          .enable(SerializationFeature.ORDER_MAP_ENTRIES_BY_KEYS);

  private NewConfig() {}

  static String of(AttachedAdapter adapter, String baseModel) {
    return of(adapter.base(), bare(adapter.method()), adapter.name(), baseModel);
  }

  static String of(Graph base, AdapterMethod method, String name, String baseModel) {
    Map<String, @Nullable Object> fields = frame(base, baseModel);
    fields.computeIfPresent(
        "model_class", (key, of) -> LanguageModels.modelClass(base, method, of.toString()));
    fields.put("config", Interchanges.fields(method));
    fields.put("name", name);
    return text(fields);
  }

  /** The method without its head. */
  static AdapterMethod bare(AdapterMethod method) {
    return method instanceof WithHead with ? with.method() : method;
  }

  static ObjectNode object(String text) {
    try {
      return (ObjectNode) JSON.readTree(text);
    } catch (JsonProcessingException e) {
      throw new PeftException("the adapter's configuration is no JSON", e);
    }
  }

  /** What every configuration file of the library says of the model. */
  static Map<String, @Nullable Object> frame(Graph base, String baseModel) {
    List<FeedForwardSite> blocks = Sites.of(base).feedForwards();
    String type = base.metadata().getOrDefault("model_type", "");
    String architecture = base.metadata().getOrDefault("architecture", "");
    Map<String, @Nullable Object> fields = new TreeMap<>();
    fields.put("hidden_size", blocks.isEmpty() ? null : blocks.get(0).down().outFeatures());
    fields.put("model_class", architecture.isEmpty() ? modelClass(base, type) : architecture);
    fields.put("model_name", baseModel);
    fields.put("model_type", type.isEmpty() ? FileKeys.root(base) : type);
    fields.put("version", VERSION);
    return fields;
  }

  /** For a model that does not say: the bare encoder, or one with some head on it. */
  private static String modelClass(Graph base, String type) {
    String root = FileKeys.root(base);
    String kind = type.isEmpty() ? root : type;
    String name =
        kind.isEmpty() ? "" : kind.substring(0, 1).toUpperCase(Locale.ROOT) + kind.substring(1);
    return root.isEmpty() ? name + "Model" : name + "ForSequenceClassification";
  }

  static String text(Map<String, @Nullable Object> fields) {
    try {
      return JSON.writeValueAsString(fields);
    } catch (JsonProcessingException e) {
      throw new PeftException("the adapter's configuration cannot be written as JSON", e);
    }
  }
}

package io.peft4j.adapters.adapterhub;

import io.peft4j.CheckpointFormatException;
import io.peft4j.UnsupportedModelException;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapters.compose.ComposableMethod;
import io.peft4j.adapters.peft.PeftConfig;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * The head beside an adapter: {@code head_config.json} and {@code model_head.safetensors}.
 *
 * @param text of the configuration
 * @param name of the head; empty where it is the model's own
 * @param head a head of the library's own kind; null for modules of the model
 * @param tensors by key
 */
record HeadFolder(
    String text, String name, @Nullable ClassificationHead head, Map<String, Tensor> tensors) {
  static final String CONFIG = "head_config.json";
  static final String WEIGHTS = "model_head.safetensors";
  private static final String PICKLE = "pytorch_model_head.bin";

  static boolean isIn(Path folder) {
    return Files.isRegularFile(folder.resolve(CONFIG));
  }

  /** What lies in a folder; null if there is no head. */
  static @Nullable HeadFolder read(Path folder) {
    if (!isIn(folder)) {
      return null;
    }
    Path file = folder.resolve(CONFIG);
    String text = Texts.read(file);
    PeftConfig config = PeftConfig.parse(file, text);
    Path weights = folder.resolve(WEIGHTS);
    if (!Files.isRegularFile(weights)) {
      throw new CheckpointFormatException(
          Files.exists(folder.resolve(PICKLE))
              ? "%s holds its head as a pickle (%s), which can run code and is not read; save the adapter with use_safetensors=True"
                  .formatted(folder, PICKLE)
              : "%s has a %s but no %s; copy the whole folder, or remove the first to use the adapter alone"
                  .formatted(folder, CONFIG, WEIGHTS));
    }
    PeftConfig settings = config.object("config");
    return new HeadFolder(
        text,
        config.textOrEmpty("name"),
        settings == null ? null : head(settings),
        SafeTensors.read(weights).tensors());
  }

  private static ClassificationHead head(PeftConfig settings) {
    String type = settings.text("head_type", "");
    if (!type.equals("classification") && !type.equals("multilabel_classification")) {
      throw new UnsupportedModelException(
          "%s: head_type '%s' is not supported; supported are classification and multilabel_classification, or remove the file to use the adapter alone"
              .formatted(settings.file(), type));
    }
    return new ClassificationHead(
        settings.whole("layers", 1),
        settings.isText("activation_function") ? settings.text("activation_function", "") : null,
        settings.flag("use_pooler", false),
        settings.flag("bias", true),
        labels(settings),
        settings.number("dropout_prob", -1));
  }

  private static List<String> labels(PeftConfig settings) {
    int count = settings.whole("num_labels", 0);
    Map<Integer, String> labels = new TreeMap<>();
    settings.wholeNumbers("label2id").forEach((label, id) -> labels.put(id, label));
    if (labels.isEmpty()) {
      for (int i = 0; i < count; i++) {
        labels.put(i, "LABEL_" + i);
      }
    }
    if (labels.size() != count || !labels.containsKey(0) || !labels.containsKey(count - 1)) {
      throw new CheckpointFormatException(
          "%s: field '%s' does not number %d labels from 0; correct it"
              .formatted(settings.file(), settings.named("label2id"), count));
    }
    return List.copyOf(labels.values());
  }

  /** The method with this head. */
  ComposableMethod with(ComposableMethod method) {
    TreeSet<String> modules = new TreeSet<>();
    if (head == null) {
      tensors.keySet().forEach(key -> modules.add(key.replaceFirst("\\.(weight|bias)$", "")));
    }
    return new WithHead(method, List.copyOf(modules), head);
  }

  /** The configuration of a head that was made here. */
  static String newConfig(AttachedAdapter adapter, WithHead method, String baseModel) {
    Graph base = adapter.base();
    Map<String, @Nullable Object> fields = NewConfig.frame(base, baseModel);
    ClassificationHead head = method.head();
    fields.put("config", head == null ? null : fields(head));
    fields.put("name", head == null ? null : adapter.name());
    return NewConfig.text(fields);
  }

  private static Map<String, @Nullable Object> fields(ClassificationHead head) {
    Map<String, @Nullable Object> fields = new TreeMap<>();
    Map<String, Object> numbers = new TreeMap<>();
    for (int i = 0; i < head.labels().size(); i++) {
      numbers.put(head.labels().get(i), i);
    }
    fields.put("head_type", "classification");
    fields.put("layers", head.layers());
    fields.put("activation_function", head.activation());
    fields.put("use_pooler", head.usePooler());
    fields.put("bias", head.bias());
    fields.put("dropout_prob", head.dropout() < 0 ? null : head.dropout());
    fields.put("num_labels", head.labels().size());
    fields.put("label2id", numbers);
    return fields;
  }
}

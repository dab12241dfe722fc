package io.peft4j.adapters.peft;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.peft4j.CheckpointFormatException;
import io.peft4j.PretrainedModel;
import io.peft4j.UnsupportedModelException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.format.AdapterFormat;
import io.peft4j.format.AtomicWrite;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * PEFT's adapter folder: {@code adapter_config.json} and {@code adapter_model.safetensors}. Keys
 * are {@code base_model.model.} + module path + parameter. A head that was added to an encoder lies
 * beside them in {@code head.safetensors} and {@code peft4j.json}, which PEFT does not look at.
 */
public final class PeftFormat implements AdapterFormat {
  static final String CONFIG = "adapter_config.json";
  static final String WEIGHTS = "adapter_model.safetensors";

  /** For ServiceLoader. */
  public PeftFormat() {}

  @Override
  public String name() {
    return "peft";
  }

  @Override
  public boolean accepts(Path folder) {
    return Files.isRegularFile(folder.resolve(CONFIG));
  }

  @Override
  public boolean writes(AttachedAdapter adapter) {
    return interchanges().stream().anyMatch(i -> i.writes(adapter.method()));
  }

  private static List<PeftInterchange> interchanges() {
    return ServiceLoader.load(PeftInterchange.class).stream()
        .map(ServiceLoader.Provider::get)
        .toList();
  }

  /** The key of a tensor in the file. */
  public static String key(AdapterTensor tensor) {
    String owner =
        switch (tensor.owner()) {
          case MODEL -> "base_model.model.";
          case ADAPTED_MODEL -> "base_model.";
          case ADAPTER -> "";
        };
    String module = tensor.module().isEmpty() ? "" : tensor.module() + ".";
    return owner + module + tensor.parameter();
  }

  @Override
  public String key(StoredAdapter stored, AdapterTensor tensor) {
    return key(tensor);
  }

  @Override
  public StoredAdapter read(Path folder, Graph base) {
    Path file = folder.resolve(CONFIG);
    String text = readText(file);
    PeftConfig config = PeftConfig.parse(file, text);
    String modelType = base.metadata().getOrDefault("model_type", "");
    PeftInterchange interchange = interchange(config);
    AdapterMethod method = interchange.read(config, modelType);
    HeadFiles.Head head = HeadFiles.read(folder);
    StoredHead storedHead = head == null ? null : head.stored();
    Path weights = weights(folder);
    AttachedAdapter attached =
        HeadFiles.attach(
            BaseCopies.noted(weights, method.attach(base, PretrainedModel.DEFAULT_ADAPTER, 0)),
            storedHead);
    Map<String, Tensor> values = StoredTensors.read(weights, attached, PeftFormat::key);
    var editor = attached.graph().edit();
    values.forEach(editor::initializer);
    AttachedAdapter read = attached.withGraph(editor.build());
    interchange.check(weights, attached, read);
    return new StoredAdapter(
        read,
        text,
        storedHead,
        head == null ? List.of() : head.labels(),
        head == null ? Map.of() : head.provenance());
  }

  private static PeftInterchange interchange(PeftConfig config) {
    String type = config.text("peft_type", "");
    List<PeftInterchange> all = interchanges();
    return all.stream()
        .filter(i -> i.peftType().equals(type))
        .findFirst()
        .orElseThrow(
            () ->
                new UnsupportedModelException(
                    "%s: peft_type %s is not supported; supported are %s"
                        .formatted(
                            config.file(),
                            type.isEmpty() ? "is missing and" : "'" + type + "'",
                            String.join(
                                ", ",
                                all.stream().map(PeftInterchange::peftType).sorted().toList()))));
  }

  static Path weights(Path folder) {
    Path weights = folder.resolve(WEIGHTS);
    if (Files.isRegularFile(weights)) {
      return weights;
    }
    if (Files.exists(folder.resolve("adapter_model.bin"))) {
      throw new CheckpointFormatException(
          "%s holds its weights as a pickle (adapter_model.bin), which can run code and is not read; load it with PEFT and call save_pretrained again"
              .formatted(folder));
    }
    throw new CheckpointFormatException(folder + " has no " + WEIGHTS + "; copy the whole folder");
  }

  static String readText(Path file) {
    try {
      return Files.readString(file, UTF_8);
    } catch (IOException e) {
      throw new CheckpointFormatException(file + " cannot be read: " + e.getMessage(), e);
    }
  }

  @Override
  public void write(StoredAdapter stored, String baseModel, Path folder) {
    PeftInterchange interchange = interchange(stored.adapter().method());
    AttachedAdapter adapter = interchange.storable(stored.adapter());
    String config =
        stored.configuration().isEmpty()
            ? newConfig(interchange, adapter, stored.head(), baseModel)
            : stored.configuration();
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    for (AdapterTensor tensor : adapter.tensors()) {
      Tensor value = adapter.graph().initializer(tensor.initializer());
      tensors.put(key(tensor), tensor.transposed() ? value.transposed(1, 0) : value);
    }
    AtomicWrite.folder(
        folder,
        target -> {
          Files.writeString(target.resolve(CONFIG), config, UTF_8);
          SafeTensors.write(target.resolve(WEIGHTS), tensors, Map.of("format", "pt"));
          HeadFiles.write(target, stored);
        });
  }

  private static PeftInterchange interchange(AdapterMethod method) {
    return interchanges().stream()
        .filter(i -> i.writes(method))
        .findFirst()
        .orElseThrow(() -> new IllegalStateException("no PEFT type for " + method.name()));
  }

  private static String newConfig(
      PeftInterchange interchange,
      AttachedAdapter adapter,
      @Nullable StoredHead head,
      String baseModel) {
    Map<String, @Nullable Object> fields = new TreeMap<>(interchange.write(adapter, baseModel));
    fields.put("peft_type", interchange.peftType());
    fields.put("task_type", taskType(adapter.base(), head));
    fields.put("base_model_name_or_path", baseModel);
    fields.put("auto_mapping", null);
    fields.put("revision", null);
    fields.put("inference_mode", true);
    fields.replaceAll((key, value) -> plain(value));
    return PeftConfig.JSON.valueToTree(fields).toPrettyString();
  }

  /** Whole numbers without a fraction. */
  private static @Nullable Object plain(@Nullable Object value) {
    if (value instanceof Double number && number == Math.rint(number) && Math.abs(number) < 1e9) {
      return number.longValue();
    }
    if (value instanceof Map<?, ?> map) {
      Map<Object, @Nullable Object> result = new LinkedHashMap<>();
      map.forEach((key, item) -> result.put(key, plain(item)));
      return result;
    }
    return value;
  }

  private static String taskType(Graph base, @Nullable StoredHead head) {
    Value logits =
        base.outputs().stream().filter(v -> v.name().equals("logits")).findFirst().orElse(null);
    if (logits == null || head != null) {
      return "FEATURE_EXTRACTION";
    }
    boolean sequence = logits.shape() != null && logits.shape().size() == 3;
    if (!sequence) {
      return "SEQ_CLS";
    }
    return base.metadata().getOrDefault("architecture", "").contains("CausalLM")
        ? "CAUSAL_LM"
        : "TOKEN_CLS";
  }
}

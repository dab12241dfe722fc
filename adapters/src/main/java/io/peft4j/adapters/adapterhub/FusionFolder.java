package io.peft4j.adapters.adapterhub;

import static io.peft4j.adapters.adapterhub.AdapterHubInterchange.unsupported;

import io.peft4j.CheckpointFormatException;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapters.bottleneck.Bottleneck;
import io.peft4j.adapters.composition.AdapterFusion;
import io.peft4j.adapters.composition.Member;
import io.peft4j.adapters.composition.Mixing;
import io.peft4j.adapters.peft.PeftConfig;
import io.peft4j.format.AdapterFormat.StoredAdapter;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * A fusion on disk: a folder {@code fusion} with {@code adapter_fusion_config.json} and {@code
 * model_adapter_fusion.safetensors}, and beside it one folder for each adapter, of its name.
 */
final class FusionFolder {
  static final String CONFIG = "adapter_fusion_config.json";
  static final String WEIGHTS = "model_adapter_fusion.safetensors";
  static final String NAME = "fusion";
  private static final String PICKLE = "pytorch_model_adapter_fusion.bin";

  private FusionFolder() {}

  /** The folder with the fusion's own files: this one, or {@code fusion} in it; null if none is. */
  static @Nullable Path of(Path folder) {
    if (Files.isRegularFile(folder.resolve(CONFIG))) {
      return folder;
    }
    Path inner = folder.resolve(NAME);
    return Files.isRegularFile(inner.resolve(CONFIG)) ? inner : null;
  }

  static StoredAdapter read(Path fusion, Graph base) {
    Path file = fusion.resolve(CONFIG);
    String text = Texts.read(file);
    PeftConfig config = PeftConfig.parse(file, text);
    AdapterFolder.requireFits(config, base);
    PeftConfig settings = config.object("config");
    List<String> names = config.texts("adapter_names");
    if (settings == null || names.isEmpty()) {
      throw new CheckpointFormatException(
          file + " lacks 'config' or 'adapter_names', which say what is fused; save it again");
    }
    Path weights = AdapterFolder.weights(fusion, WEIGHTS, PICKLE);
    Map<String, String> texts = new LinkedHashMap<>();
    texts.put(CONFIG, text);
    Map<String, Tensor> held = new LinkedHashMap<>(SafeTensors.read(weights).tensors());
    List<Member> members = new ArrayList<>();
    for (String name : names) {
      AdapterFolder adapter = member(fusion, name, base);
      if (!(adapter.method() instanceof Bottleneck bottleneck)) {
        throw new CheckpointFormatException(
            "%s fuses '%s', which is no bottleneck adapter; only those are fused"
                .formatted(file, name));
      }
      members.add(new Member(name, bottleneck));
      texts.put(name, adapter.text());
      held.putAll(SafeTensors.read(adapter.weights()).tensors());
    }
    AdapterFusion method =
        AdapterFolder.inFile(file, () -> new AdapterFusion(members, mixing(settings), true));
    AttachedAdapter attached =
        AdapterFolder.inFile(file, () -> method.attach(base, method.names(), 0));
    return StoredValues.of(
        weights,
        held,
        attached,
        config.text("model_type", ""),
        config.text("model_class", ""),
        Texts.join(texts),
        fusion);
  }

  private static AdapterFolder member(Path fusion, String name, Graph base) {
    Path beside = fusion.toAbsolutePath().resolveSibling(name);
    if (!Files.isRegularFile(beside.resolve(AdapterFolder.CONFIG))) {
      throw new CheckpointFormatException(
          "%s fuses the adapter '%s', but there is no folder %s with it; put the adapters beside the fusion"
              .formatted(fusion.resolve(CONFIG), name, beside));
    }
    AdapterFolder adapter = AdapterFolder.read(beside, base);
    if (!adapter.name().equals(name)) {
      throw new CheckpointFormatException(
          "%s holds the adapter '%s', but the fusion's adapter is '%s'; put that one there"
              .formatted(beside, adapter.name(), name));
    }
    return adapter;
  }

  private static Mixing mixing(PeftConfig settings) {
    if (settings.flag("temperature", false)) {
      throw unsupported(
          settings,
          "temperature",
          "it changes with every batch and is not stored; retrain without");
    }
    return new Mixing(
        settings.flag("query", true),
        settings.flag("key", true),
        settings.flag("value", true),
        settings.flag("query_before_ln", false),
        settings.flag("residual_before", false),
        settings.flag("value_before_softmax", true),
        settings.flag("value_initialized", true),
        settings.number("dropout_prob", -1));
  }

  private static Map<String, @Nullable Object> fields(Mixing mixing) {
    Map<String, @Nullable Object> fields = new TreeMap<>();
    fields.put("query", mixing.query());
    fields.put("key", mixing.key());
    fields.put("value", mixing.value());
    fields.put("query_before_ln", mixing.queryBeforeNorm());
    fields.put("residual_before", mixing.residualBefore());
    fields.put("value_before_softmax", mixing.valueBeforeSoftmax());
    fields.put("value_initialized", mixing.identityValue());
    fields.put("dropout_prob", mixing.dropout() < 0 ? null : mixing.dropout());
    fields.put("temperature", false);
    fields.put("regularization", false);
    return fields;
  }

  /** The texts of a fusion that was made here. */
  static Map<String, String> newTexts(
      AttachedAdapter adapter, AdapterFusion fusion, String baseModel) {
    Map<String, String> texts = new LinkedHashMap<>();
    Map<String, @Nullable Object> fields = NewConfig.frame(adapter.base(), baseModel);
    fields.put("adapter_names", fusion.members().stream().map(Member::name).toList());
    fields.put("config", fields(fusion.mixing()));
    fields.put("name", fusion.names());
    texts.put(CONFIG, NewConfig.text(fields));
    for (Member member : fusion.members()) {
      texts.put(
          member.name(), NewConfig.of(adapter.base(), member.method(), member.name(), baseModel));
    }
    return texts;
  }

  /** The folder, under the whole's, in which a tensor lies. */
  static String folder(AdapterFusion fusion, AdapterTensor tensor) {
    for (Member member : fusion.members()) {
      for (String kind : new String[] {"adapters", "invertible_adapters", "shared_parameters"}) {
        if (tensor.parameter().startsWith(kind + "." + member.name() + ".")) {
          return member.name();
        }
      }
    }
    return NAME;
  }
}

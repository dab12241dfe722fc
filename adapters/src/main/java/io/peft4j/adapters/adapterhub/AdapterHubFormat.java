package io.peft4j.adapters.adapterhub;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.peft4j.CheckpointFormatException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapters.compose.ComposableMethod;
import io.peft4j.adapters.composition.AdapterFusion;
import io.peft4j.adapters.peft.HeadFiles;
import io.peft4j.adapters.peft.PeftConfig;
import io.peft4j.format.AdapterFormat;
import io.peft4j.format.AtomicWrite;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;

/**
 * AdapterHub's adapter folder: {@code adapter_config.json} and {@code adapter.safetensors}, whose
 * keys hold the adapter's name; with a head also {@code head_config.json} and {@code
 * model_head.safetensors}. A fusion is a folder of such folders.
 */
public final class AdapterHubFormat implements AdapterFormat {
  /** For ServiceLoader. */
  public AdapterHubFormat() {}

  @Override
  public String name() {
    return "adapterhub";
  }

  @Override
  public boolean accepts(Path folder) {
    if (FusionFolder.of(folder) != null) {
      return true;
    }
    Path file = folder.resolve(AdapterFolder.CONFIG);
    if (!Files.isRegularFile(file)) {
      return false;
    }
    try {
      PeftConfig config = PeftConfig.parse(file, Files.readString(file, UTF_8));
      return !config.has("peft_type")
          && (config.has("config") || config.textOrEmpty("version").startsWith("adapters."));
    } catch (IOException | CheckpointFormatException e) {
      return false; // whoever takes the folder reports what is wrong with it
    }
  }

  @Override
  public boolean writes(AttachedAdapter adapter) {
    return adapter.method() instanceof AdapterFusion
        || Interchanges.writes(NewConfig.bare(adapter.method()));
  }

  @Override
  public String key(StoredAdapter stored, AdapterTensor tensor) {
    return keys(stored).of(tensor);
  }

  private static FileKeys keys(StoredAdapter stored) {
    Graph base = stored.adapter().base();
    for (String text : Texts.split(stored.configuration()).values()) {
      PeftConfig config = PeftConfig.parse(Path.of(AdapterFolder.CONFIG), text);
      return FileKeys.of(base, config.text("model_type", ""), config.text("model_class", ""));
    }
    return FileKeys.of(base, "", "");
  }

  @Override
  public StoredAdapter read(Path folder, Graph base) {
    Path fusion = FusionFolder.of(folder);
    if (fusion != null) {
      return FusionFolder.read(fusion, base);
    }
    AdapterFolder read = AdapterFolder.read(folder, base);
    Map<String, String> texts = new LinkedHashMap<>();
    texts.put(AdapterFolder.CONFIG, read.text());
    Map<String, Tensor> held = new LinkedHashMap<>(SafeTensors.read(read.weights()).tensors());
    ComposableMethod method = read.method();
    HeadFolder head = HeadFolder.read(folder);
    if (head != null) {
      texts.put(HeadFolder.CONFIG, head.text());
      held.putAll(head.tensors());
      method = head.with(method);
    }
    ComposableMethod whole = method;
    AttachedAdapter attached =
        AdapterFolder.inFile(
            folder.resolve(AdapterFolder.CONFIG), () -> whole.attach(base, read.name(), 0));
    StoredAdapter stored =
        StoredValues.of(
            read.weights(),
            held,
            attached,
            read.modelType(),
            read.modelClass(),
            Texts.join(texts),
            folder);
    ClassificationHead own = head == null ? null : head.head();
    return own != null && stored.labels().isEmpty() ? stored.withLabels(own.labels()) : stored;
  }

  @Override
  public void write(StoredAdapter stored, String baseModel, Path folder) {
    AdapterMethod method = stored.adapter().method();
    if (method instanceof AdapterFusion fusion) {
      writeFusion(stored, fusion, baseModel, folder);
      return;
    }
    Map<String, String> texts = Texts.split(stored.configuration());
    if (texts.isEmpty()) {
      texts.put(AdapterFolder.CONFIG, NewConfig.of(stored.adapter(), baseModel));
    }
    if (method instanceof WithHead with && !texts.containsKey(HeadFolder.CONFIG)) {
      texts.put(HeadFolder.CONFIG, HeadFolder.newConfig(stored.adapter(), with, baseModel));
    }
    Map<String, Map<String, Tensor>> files = new TreeMap<>();
    for (AdapterTensor tensor : stored.adapter().tensors()) {
      String file = FileKeys.isHead(tensor) ? HeadFolder.WEIGHTS : AdapterFolder.WEIGHTS;
      put(files, file, stored, tensor);
    }
    AtomicWrite.folder(
        folder,
        target -> {
          for (Map.Entry<String, String> text : texts.entrySet()) {
            Files.writeString(target.resolve(text.getKey()), text.getValue(), UTF_8);
          }
          files.forEach(
              (file, tensors) -> SafeTensors.write(target.resolve(file), tensors, Map.of()));
          HeadFiles.write(target, stored);
        });
  }

  private static void put(
      Map<String, Map<String, Tensor>> files,
      String file,
      StoredAdapter stored,
      AdapterTensor tensor) {
    Tensor value = stored.adapter().graph().initializer(tensor.initializer());
    files
        .computeIfAbsent(file, name -> new LinkedHashMap<>())
        .put(keys(stored).of(tensor), tensor.transposed() ? value.transposed(1, 0) : value);
  }

  private static void writeFusion(
      StoredAdapter stored, AdapterFusion fusion, String baseModel, Path folder) {
    Map<String, String> read = Texts.split(stored.configuration());
    Map<String, String> texts =
        read.isEmpty() ? FusionFolder.newTexts(stored.adapter(), fusion, baseModel) : read;
    Map<String, Map<String, Tensor>> files = new TreeMap<>();
    for (AdapterTensor tensor : stored.adapter().tensors()) {
      put(files, FusionFolder.folder(fusion, tensor), stored, tensor);
    }
    AtomicWrite.folder(
        folder,
        target -> {
          for (Map.Entry<String, String> text : texts.entrySet()) {
            boolean own = text.getKey().equals(FusionFolder.CONFIG);
            Path place = target.resolve(own ? FusionFolder.NAME : text.getKey());
            Files.createDirectories(place);
            String config = own ? FusionFolder.CONFIG : AdapterFolder.CONFIG;
            Files.writeString(place.resolve(config), text.getValue(), UTF_8);
          }
          files.forEach(
              (name, tensors) -> {
                boolean own = name.equals(FusionFolder.NAME);
                String file = own ? FusionFolder.WEIGHTS : AdapterFolder.WEIGHTS;
                SafeTensors.write(target.resolve(name).resolve(file), tensors, Map.of());
              });
          HeadFiles.write(target.resolve(FusionFolder.NAME), stored);
        });
  }
}

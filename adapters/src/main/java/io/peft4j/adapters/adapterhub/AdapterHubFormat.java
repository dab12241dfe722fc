package io.peft4j.adapters.adapterhub;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.common.io.MoreFiles;
import io.peft4j.CheckpointFormatException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapters.bottleneck.Bottleneck;
import io.peft4j.adapters.composition.AdapterFusion;
import io.peft4j.adapters.composition.Member;
import io.peft4j.adapters.composition.Stack;
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
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * AdapterHub's adapter folder: {@code adapter_config.json} and {@code adapter.safetensors}, whose
 * keys hold the adapter's name; with a head also {@code head_config.json} and {@code
 * model_head.safetensors}. A stack or a fusion is a folder of such folders, with {@code
 * adapter_setup.json} as the library's {@code save_adapter_setup} writes it.
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
    if (SetupFile.isIn(folder) || FusionFolder.of(folder) != null) {
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

  /**
   * The file of a single adapter's tensors.
   *
   * @throws io.peft4j.CheckpointFormatException if it is missing, or a pickle
   */
  public static Path weights(Path folder) {
    return AdapterFolder.weights(folder);
  }

  /** The folder, of an adapter's folders, in which peft4j's notes on it lie. */
  public static Path notes(Path folder) {
    Path file = folder.resolve(SetupFile.NAME);
    if (SetupFile.isIn(folder)) {
      SetupFile setup = SetupFile.read(file, Texts.read(file));
      return setup.isFusion() ? folder.resolve(setup.joined()) : folder;
    }
    Path fusion = FusionFolder.of(folder);
    return fusion == null ? folder : fusion;
  }

  /** Whether a head lies beside the adapter in a folder. */
  public static boolean holdsHead(Path folder) {
    HeadFiles.Head notes = HeadFiles.read(notes(folder));
    return HeadFolder.isIn(folder) || (notes != null && notes.stored() != null);
  }

  /** Whether the bottleneck adapter in a folder has an invertible one with it. */
  public static boolean hasCoupling(Path folder) {
    Path file = folder.resolve(AdapterFolder.CONFIG);
    PeftConfig settings = PeftConfig.parse(file, Texts.read(file)).object("config");
    return settings != null
        && Interchanges.read(settings) instanceof Bottleneck bottleneck
        && bottleneck.coupling() != null;
  }

  @Override
  public boolean writes(AttachedAdapter adapter) {
    AdapterMethod method = NewConfig.bare(adapter.method());
    return method instanceof AdapterFusion
        || method instanceof Stack
        || Interchanges.writes(method);
  }

  @Override
  public String key(StoredAdapter stored, AdapterTensor tensor) {
    return keys(stored).of(tensor);
  }

  private static FileKeys keys(StoredAdapter stored) {
    Graph base = stored.adapter().base();
    for (String text : Texts.split(stored.configuration()).values()) {
      PeftConfig config = PeftConfig.parse(Path.of(AdapterFolder.CONFIG), text);
      if (config.has("model_class")) {
        return FileKeys.of(base, config.text("model_type", ""), config.text("model_class", ""));
      }
    }
    return FileKeys.of(base, "", "");
  }

  @Override
  public StoredAdapter read(Path folder, Graph base) {
    FolderContents contents = new FolderContents();
    if (SetupFile.isIn(folder)) {
      return setup(folder, contents, base);
    }
    Path fusion = FusionFolder.of(folder);
    return fusion == null
        ? single(folder, contents, base)
        : FusionFolder.read(fusion, contents, base);
  }

  private static StoredAdapter single(Path folder, FolderContents contents, Graph base) {
    AdapterFolder read = contents.adapter("", folder, base);
    contents.head("", folder);
    return contents.on(base, read.method(), read.name(), read.place(folder), folder);
  }

  private static StoredAdapter setup(Path folder, FolderContents contents, Graph base) {
    Path file = folder.resolve(SetupFile.NAME);
    String text = Texts.read(file);
    SetupFile setup = SetupFile.read(file, text);
    List<String> names = setup.names();
    if (names.size() == 1) {
      return single(folder.resolve(names.get(0)), contents, base);
    }
    contents.text(SetupFile.NAME, text);
    if (setup.isFusion()) {
      return FusionFolder.read(folder.resolve(setup.joined()), contents, base);
    }
    List<Member> members = new ArrayList<>();
    for (String name : names) {
      members.add(contents.member(file, folder.resolve(name), name, base));
    }
    Stack stack = AdapterFolder.inFile(file, () -> new Stack(members));
    Path last = folder.resolve(stack.last());
    contents.head(stack.last(), last);
    AdapterFolder.Place place = AdapterFolder.read(last, base).place(last);
    return contents.on(base, stack, contents.named(stack.last()), place, folder);
  }

  @Override
  public void write(StoredAdapter stored, String baseModel, Path folder) {
    AdapterMethod method = stored.adapter().method();
    Map<String, String> read = Texts.split(stored.configuration());
    HubFiles places = HubFiles.of(method, read);
    Map<String, String> texts =
        read.isEmpty() ? places.newTexts(stored.adapter(), baseModel) : read;
    String head = HubFiles.in(places.head(), HeadFolder.CONFIG);
    if (method instanceof WithHead with && !texts.containsKey(head)) {
      texts.put(head, HeadFolder.newConfig(stored.adapter(), with, baseModel));
    }
    Map<String, Map<String, Tensor>> files = new TreeMap<>();
    for (AdapterTensor tensor : stored.adapter().tensors()) {
      Tensor value = stored.adapter().graph().initializer(tensor.initializer());
      files
          .computeIfAbsent(places.of(tensor), name -> new LinkedHashMap<>())
          .put(keys(stored).of(tensor), tensor.transposed() ? value.transposed(1, 0) : value);
    }
    AtomicWrite.folder(
        folder,
        target -> {
          for (Map.Entry<String, String> text : texts.entrySet()) {
            Path file = target.resolve(text.getKey());
            MoreFiles.createParentDirectories(file);
            Files.writeString(file, text.getValue(), UTF_8);
          }
          files.forEach(
              (file, tensors) -> SafeTensors.write(target.resolve(file), tensors, Map.of()));
          HeadFiles.write(target.resolve(places.fusion()), stored);
        });
  }
}

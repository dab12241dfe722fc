package io.peft4j.adapters.composition;

import io.peft4j.PretrainedModel;
import io.peft4j.RecipeException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapters.adapterhub.AdapterHubFormat;
import io.peft4j.adapters.adapterhub.WithHead;
import io.peft4j.adapters.bottleneck.Bottleneck;
import io.peft4j.format.Formats;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * Folders of adapters that were trained apart, of which a composition is made.
 *
 * @param names of the adapters in the composition; empty for those that the folders give
 */
record MemberFolders(List<Path> folders, List<String> names) {
  /** The folder of a run's adapter in the run's own. */
  private static final Path RUN_ADAPTER = Path.of("adapter");

  MemberFolders {
    folders = List.copyOf(folders);
    names = List.copyOf(names);
    Set<Path> seen = new HashSet<>();
    for (Path folder : folders) {
      if (!seen.add(folder.toAbsolutePath().normalize())) {
        throw new RecipeException("adapters names %s twice; name each once".formatted(folder));
      }
    }
    if (!names.isEmpty() && names.size() != folders.size()) {
      throw new RecipeException(
          "names has %d names for %d adapters; give one for each, or none"
              .formatted(names.size(), folders.size()));
    }
  }

  /**
   * The adapters on a model, each under its name in the composition and without its head.
   *
   * @throws RecipeException if one is no bottleneck adapter
   */
  List<AttachedAdapter> read(Graph base) {
    List<AttachedAdapter> adapters = new ArrayList<>();
    for (int i = 0; i < folders.size(); i++) {
      Path folder = folders.get(i);
      AttachedAdapter read = Formats.adapter(folder).read(folder, base).adapter();
      String name = names.isEmpty() ? name(folder, read.name()) : names.get(i);
      adapters.add(renamed(read, bottleneck(folder, read.method()), base, name));
    }
    return adapters;
  }

  private static Bottleneck bottleneck(Path folder, AdapterMethod method) {
    AdapterMethod bare = method instanceof WithHead with ? with.method() : method;
    if (bare instanceof Bottleneck bottleneck) {
      return bottleneck;
    }
    throw new RecipeException(
        "adapters names %s, which holds %s; only bottleneck adapters, as pfeiffer or houlsby, are composed"
            .formatted(folder, method.name()));
  }

  /** A run gives its adapter no name of its own, so it is called after the run. */
  private static String name(Path folder, String own) {
    if (!own.equals(PretrainedModel.DEFAULT_ADAPTER)) {
      return own;
    }
    Path path = folder.toAbsolutePath().normalize();
    Path parent = path.getParent();
    Path named = path.endsWith(RUN_ADAPTER) && parent != null ? parent : path;
    return String.valueOf(named.getFileName());
  }

  private static AttachedAdapter renamed(
      AttachedAdapter read, Bottleneck method, Graph base, String name) {
    List<AdapterTensor> before = method.attach(base, read.name(), 0).tensors();
    AttachedAdapter renamed = method.attach(base, name, 0);
    GraphEditor editor = renamed.graph().edit();
    for (int i = 0; i < before.size(); i++) {
      editor.initializer(
          renamed.tensors().get(i).initializer(),
          read.graph().initializer(before.get(i).initializer()));
    }
    return renamed.withGraph(editor.build());
  }

  /** What of the folders a composition does not use. */
  List<String> notes() {
    List<String> notes = new ArrayList<>();
    for (Path folder : folders) {
      if (AdapterHubFormat.holdsHead(folder)) {
        notes.add("the head beside the adapter in " + folder + " is not used");
      }
      if (!folder.equals(folders.get(0)) && AdapterHubFormat.hasCoupling(folder)) {
        notes.add(
            "the invertible adapter in %s is not used, only that of the first, %s, if it has one"
                .formatted(folder, folders.get(0)));
      }
    }
    return notes;
  }
}

package io.peft4j.adapters.freeze;

import io.peft4j.PeftException;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.SavedModules;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphView;
import io.peft4j.graph.Node;
import io.peft4j.graph.WeightPath;
import io.peft4j.site.NormSite;
import io.peft4j.site.Site;
import io.peft4j.site.Sites;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * A model's own weights with their modules. The running mean and variance of a batch norm are
 * measured rather than trained and are not among them.
 *
 * @param places every module's use of a weight; a tied weight has several
 * @param all each weight once, at the place that its own name tells, if one does
 */
public record ModelWeights(
    Graph graph, Sites sites, List<AdapterTensor> places, List<AdapterTensor> all) {

  private static final Set<String> PLAIN_NORMS =
      Set.of("BatchNormalization", "InstanceNormalization", "GroupNormalization");
  private static final Pattern LAYER = Pattern.compile("((?:.*?\\.)?)(\\d+)\\..*");
  private static final Set<String> CONVOLUTIONS = Set.of("Conv", "ConvTranspose");

  static ModelWeights of(Graph graph) {
    Sites sites = Sites.of(graph);
    Set<String> measured = inputs(graph, Set.of("BatchNormalization"), 3, 4);
    List<String> paths = sites.modules().stream().map(Site::path).toList();
    Set<AdapterTensor> places = new LinkedHashSet<>(SavedModules.train(graph.edit(), sites, paths));
    Set<String> placed = new HashSet<>();
    places.forEach(place -> placed.add(place.initializer()));
    graph.parameters().stream()
        .filter(name -> !graph.tags().containsKey(name)) // an added head trains by itself
        .filter(name -> !measured.contains(name) && !placed.contains(name))
        .forEach(name -> places.add(ownPlace(name)));
    return new ModelWeights(graph, sites, List.copyOf(places), once(places));
  }

  private static AdapterTensor ownPlace(String name) {
    int dot = name.lastIndexOf('.');
    return new AdapterTensor(name, dot < 0 ? "" : name.substring(0, dot), name.substring(dot + 1));
  }

  /** One place a weight. No two share a full name, which is their key in files. */
  private static List<AdapterTensor> once(Set<AdapterTensor> places) {
    Map<String, AdapterTensor> chosen = new LinkedHashMap<>();
    Set<String> taken = new HashSet<>();
    for (AdapterTensor place : places) {
      chosen.putIfAbsent(place.initializer(), place);
      if (fullName(place).equals(place.initializer())) {
        chosen.put(place.initializer(), place);
        taken.add(place.initializer());
      }
    }
    chosen.replaceAll(
        (name, place) ->
            fullName(place).equals(name) || taken.add(fullName(place)) ? place : ownPlace(name));
    return new ArrayList<>(chosen.values());
  }

  /** Module path and parameter of a weight, as a checkpoint would name it. */
  static String fullName(AdapterTensor tensor) {
    return tensor.module().isEmpty()
        ? tensor.parameter()
        : tensor.module() + "." + tensor.parameter();
  }

  /** The weights that any of some selections chooses, each once. */
  List<AdapterTensor> chosen(List<Selection> selections) {
    Set<String> names = new HashSet<>();
    for (Selection selection : selections) {
      selection.select(this).forEach(place -> names.add(place.initializer()));
    }
    return all.stream().filter(weight -> names.contains(weight.initializer())).toList();
  }

  /** The weights of modules that lie within a path. */
  List<AdapterTensor> within(String path) {
    return places.stream()
        .filter(t -> t.module().equals(path) || t.module().startsWith(path + "."))
        .toList();
  }

  /** The paths of linear layers in attention and feed-forward blocks. */
  Stream<String> blocks() {
    return sites.linears().stream()
        .filter(site -> site.role().isAttention() || site.role().isFeedForward())
        .map(Site::path);
  }

  /**
   * The numbers of the layers of each stack, by the path up to the number.
   *
   * @param wish what needs them, for the error
   * @throws PeftException if the model's layers are not numbered
   */
  Map<String, TreeSet<Integer>> stacks(String wish) {
    Map<String, TreeSet<Integer>> stacks = new TreeMap<>();
    blocks()
        .map(LAYER::matcher)
        .filter(Matcher::matches)
        .forEach(
            m ->
                stacks
                    .computeIfAbsent(m.group(1), k -> new TreeSet<>())
                    .add(Integer.valueOf(m.group(2))));
    if (stacks.isEmpty()) {
      throw new PeftException(
          "%s needs a model whose layers are numbered, which '%s' has not; name the modules instead"
              .formatted(wish, graph.name()));
    }
    return stacks;
  }

  /** Scale and shift of every norm: over features, batch, instance or group. */
  List<AdapterTensor> norms() {
    Set<String> names = inputs(graph, PLAIN_NORMS, 1, 2);
    for (NormSite norm : sites.norms()) {
      names.add(norm.weight());
      addIfGiven(names, norm.bias());
    }
    return places.stream().filter(t -> names.contains(t.initializer())).toList();
  }

  /** What its name or its use in a convolution or norm makes a bias. */
  List<AdapterTensor> biases() {
    Set<String> names = inputs(graph, PLAIN_NORMS, 2);
    names.addAll(inputs(graph, CONVOLUTIONS, 2));
    return places.stream()
        .filter(t -> t.parameter().equals("bias") || names.contains(t.initializer()))
        .toList();
  }

  private static Set<String> inputs(Graph graph, Set<String> operators, int... indices) {
    GraphView view = new GraphView(graph);
    Set<String> names = new HashSet<>();
    for (Node node : graph.nodes()) {
      if (!node.domain().isEmpty() || !operators.contains(node.op())) {
        continue;
      }
      for (int index : indices) {
        WeightPath path = WeightPath.of(view, node.input(index));
        addIfGiven(names, path == null ? null : path.initializer());
      }
    }
    return names;
  }

  private static void addIfGiven(Set<String> names, @Nullable String name) {
    if (name != null) {
      names.add(name);
    }
  }
}

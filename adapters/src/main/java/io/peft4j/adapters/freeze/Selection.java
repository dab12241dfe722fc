package io.peft4j.adapters.freeze;

import com.google.common.base.Splitter;
import io.peft4j.PeftException;
import io.peft4j.RecipeException;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.NearestNames;
import io.peft4j.site.LinearSite;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;

/** Which of a model's own weights train. */
public sealed interface Selection {
  /** The selection as it stands in files and recipes, for example {@code top-layers:2}. */
  String text();

  /**
   * The places of the chosen ones; a tied weight may be given by any of its places.
   *
   * @throws PeftException if the model does not have what is asked for
   */
  List<AdapterTensor> select(ModelWeights weights);

  /**
   * Reads a selection as {@link #text} writes it.
   *
   * @throws RecipeException if it is none
   */
  static Selection parse(String text) {
    if (text.startsWith("top-layers:") && text.substring(11).matches("\\d{1,6}")) {
      return new TopLayers(Integer.parseInt(text.substring(11)));
    }
    if (text.startsWith("named:")) {
      return new Named(Splitter.on(',').trimResults().splitToList(text.substring(6)));
    }
    return switch (text) {
      case "all" -> new All();
      case "head" -> new Head();
      case "bias" -> new Bias();
      case "norm" -> new Norm();
      default ->
          throw new RecipeException(
              "selections must be among all, head, bias, norm, top-layers:N, named:A,B; was '%s'"
                  .formatted(text));
    };
  }

  /** Every weight. */
  record All() implements Selection {
    @Override
    public String text() {
      return "all";
    }

    @Override
    public List<AdapterTensor> select(ModelWeights weights) {
      return weights.all();
    }
  }

  /** The layer that makes the output, with what shares its module. */
  record Head() implements Selection {
    @Override
    public String text() {
      return "head";
    }

    @Override
    public List<AdapterTensor> select(ModelWeights weights) {
      Set<AdapterTensor> chosen = new LinkedHashSet<>();
      for (LinearSite site : OutputLayers.of(weights.graph(), weights.sites())) {
        chosen.addAll(weights.within(module(site.path(), weights)));
      }
      if (chosen.isEmpty() && OutputLayers.hasOwnScores(weights.graph())) {
        throw new PeftException(
            "head: no linear layer makes the logits of model '%s'; name the head's weights instead (named:A,B)"
                .formatted(weights.graph().name()));
      }
      return List.copyOf(chosen);
    }

    /** The module around the layer, unless it holds blocks and so is more than a head. */
    private static String module(String path, ModelWeights weights) {
      int dot = path.lastIndexOf('.');
      if (dot < 0) {
        return path;
      }
      String around = path.substring(0, dot);
      boolean blocks = weights.blocks().anyMatch(p -> p.startsWith(around + "."));
      return blocks || weights.sites().feedForwards().isEmpty() ? path : around;
    }
  }

  private static List<AdapterTensor> present(
      List<AdapterTensor> found, Selection selection, ModelWeights weights) {
    if (found.isEmpty()) {
      throw new PeftException(
          "selection '%s' matches no weight of model '%s'; leave it out or choose another"
              .formatted(selection.text(), weights.graph().name()));
    }
    return found;
  }

  /** Every bias. */
  record Bias() implements Selection {
    @Override
    public String text() {
      return "bias";
    }

    @Override
    public List<AdapterTensor> select(ModelWeights weights) {
      return present(weights.biases(), this, weights);
    }
  }

  /** Scale and shift of every norm. */
  record Norm() implements Selection {
    @Override
    public String text() {
      return "norm";
    }

    @Override
    public List<AdapterTensor> select(ModelWeights weights) {
      return present(weights.norms(), this, weights);
    }
  }

  /** The last layers of each stack. */
  record TopLayers(int count) implements Selection {
    public TopLayers {
      if (count < 1) {
        throw new RecipeException("top-layers must be at least 1, was " + count);
      }
    }

    @Override
    public String text() {
      return "top-layers:" + count;
    }

    @Override
    public List<AdapterTensor> select(ModelWeights weights) {
      Map<String, TreeSet<Integer>> stacks = weights.stacks("top-layers");
      List<AdapterTensor> chosen = new ArrayList<>();
      stacks.forEach((prefix, numbers) -> addTop(weights, prefix, numbers, chosen));
      return chosen;
    }

    private void addTop(
        ModelWeights weights, String prefix, TreeSet<Integer> numbers, List<AdapterTensor> chosen) {
      if (count > numbers.size()) {
        throw new PeftException(
            "top-layers is %d, but '%s' has %d layers; give at most that many"
                .formatted(count, prefix.replaceFirst("\\.$", ""), numbers.size()));
      }
      numbers.descendingSet().stream()
          .limit(count)
          .forEach(number -> chosen.addAll(weights.within(prefix + number)));
    }
  }

  /** Weights by name, or modules by path or the end of it. */
  record Named(List<String> names) implements Selection {
    public Named {
      names = List.copyOf(names);
      if (names.isEmpty() || names.stream().anyMatch(n -> n.isBlank() || n.contains(","))) {
        throw new RecipeException(
            "selections: 'named' must hold one or more names, none empty or with a comma, was "
                + names);
      }
    }

    @Override
    public String text() {
      return "named:" + String.join(",", names);
    }

    @Override
    public List<AdapterTensor> select(ModelWeights weights) {
      Set<AdapterTensor> chosen = new LinkedHashSet<>();
      for (String name : names) {
        List<AdapterTensor> found =
            weights.places().stream().filter(t -> matches(t, name)).toList();
        if (found.isEmpty()) {
          throw new PeftException(
              "nothing in the model is named '%s'; the nearest are %s"
                  .formatted(name, NearestNames.of(name, known(weights))));
        }
        chosen.addAll(found);
      }
      return List.copyOf(chosen);
    }

    private static boolean matches(AdapterTensor tensor, String name) {
      String full = ModelWeights.fullName(tensor);
      return tensor.initializer().equals(name) || isEnd(full, name) || isEnd(tensor.module(), name);
    }

    private static boolean isEnd(String path, String name) {
      return path.equals(name) || path.endsWith("." + name);
    }

    private static List<String> known(ModelWeights weights) {
      return weights.places().stream()
          .flatMap(t -> Stream.of(ModelWeights.fullName(t), t.module(), t.initializer()))
          .filter(name -> !name.isEmpty())
          .distinct()
          .toList();
    }
  }
}

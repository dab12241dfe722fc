package io.peft4j.adapters.extract;

import io.peft4j.PeftException;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.site.ConvSite;
import io.peft4j.site.EmbeddingSite;
import io.peft4j.site.LinearSite;
import io.peft4j.site.NormSite;
import io.peft4j.site.Site;
import io.peft4j.site.Sites;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Where the weights of two models of one form differ.
 *
 * @param before the first model
 * @param after the second
 * @param changes linear layers, tables of vectors and convolutions
 * @param norms norms that differ
 */
public record ModelDifference(
    Graph before, Graph after, List<WeightChange> changes, List<WeightChange> norms) {
  public ModelDifference {
    changes = List.copyOf(changes);
    norms = List.copyOf(norms);
  }

  /**
   * What an adapter changes, computed in float64 whatever type the weights have.
   *
   * @throws PeftException if the adapter cannot be merged; the message says why
   */
  public static ModelDifference of(AttachedAdapter adapter) {
    AttachedAdapter wide =
        new AttachedAdapter(
            adapter.name(),
            adapter.method(),
            widened(adapter.base()),
            widened(adapter.graph()),
            adapter.tensors(),
            adapter.targets());
    return of(wide.base(), adapter.method().merge(wide));
  }

  private static Graph widened(Graph graph) {
    GraphEditor editor = graph.edit();
    graph
        .initializers()
        .forEach(
            (name, tensor) -> {
              if (tensor.dtype().isFloat() && tensor.rank() > 0) {
                editor.initializer(name, tensor.cast(DType.FLOAT64));
              }
            });
    return editor.build();
  }

  /**
   * What one model has other than another.
   *
   * @throws PeftException if their modules are not the same, or something that is no module differs
   */
  public static ModelDifference of(Graph before, Graph after) {
    Map<String, Site> second = new LinkedHashMap<>();
    Sites.of(after).modules().forEach(site -> second.put(site.path(), site));
    List<WeightChange> changes = new ArrayList<>();
    List<WeightChange> norms = new ArrayList<>();
    Set<String> seen = new HashSet<>();
    List<Site> first = Sites.of(before).modules();
    for (Site site : first) {
      Site other = second.remove(site.path());
      if (other == null) {
        throw otherForm(site.path(), "only the first");
      }
      Parts own = Parts.of(site, before);
      Parts others = Parts.of(other, after);
      seen.addAll(own.names());
      if (!site.getClass().equals(other.getClass()) || !own.fits(others)) {
        throw new PeftException(
            "module '%s' has the weight %s in the first model and %s in the second; give two checkpoints of one model"
                .formatted(site.path(), own.weight(), others.weight()));
      }
      if (own.differs(others)) {
        (site instanceof NormSite ? norms : changes)
            .add(new WeightChange(site, own.weight(), own.laidAs(others), own.biasChange(others)));
      }
    }
    if (!second.isEmpty()) {
      throw otherForm(second.keySet().iterator().next(), "only the second");
    }
    requireNothingElse(before, after, seen);
    return new ModelDifference(before, after, changes, norms);
  }

  private static PeftException otherForm(String path, String which) {
    return new PeftException(
        "%s model has a module '%s'; give two checkpoints of one model, with the same head"
            .formatted(which, path));
  }

  private static void requireNothingElse(Graph before, Graph after, Set<String> seen) {
    before
        .initializers()
        .forEach(
            (name, tensor) -> {
              Tensor other = after.initializers().get(name);
              boolean same = other == null || same(tensor, other);
              if (!seen.contains(name) && !same) {
                throw new PeftException(
                    "weight '%s' differs, but belongs to no linear layer, table, convolution or norm, so that LoRA cannot carry it; keep the adapter as it is"
                        .formatted(name));
              }
            });
  }

  private static boolean same(Tensor one, Tensor other) {
    return one == other
        || one.contentEquals(other)
        || (one.dtype().isFloat()
            && other.dtype().isFloat()
            && one.dtype() != other.dtype()
            && Arrays.equals(one.shape(), other.shape())
            && Arrays.equals(one.toDoubles(), other.toDoubles()));
  }

  /** The weight and bias of a module. */
  private record Parts(List<String> names, Tensor weight, @Nullable Tensor bias, boolean inFirst) {
    static Parts of(Site site, Graph graph) {
      if (site instanceof LinearSite linear) {
        return of(graph, linear.weight(), linear.bias(), linear.inFirst());
      } else if (site instanceof NormSite norm) {
        return of(graph, norm.weight(), norm.bias(), false);
      } else if (site instanceof EmbeddingSite embedding) {
        return of(graph, embedding.weight(), null, false);
      }
      ConvSite conv = (ConvSite) site;
      return of(graph, conv.weight(), conv.bias(), false);
    }

    private static Parts of(Graph graph, String weight, @Nullable String bias, boolean inFirst) {
      return bias == null
          ? new Parts(List.of(weight), graph.initializer(weight), null, inFirst)
          : new Parts(
              List.of(weight, bias), graph.initializer(weight), graph.initializer(bias), inFirst);
    }

    /** Whether the other is laid out alike; one that was untied may lie the other way round. */
    boolean fits(Parts other) {
      return Arrays.equals(weight.shape(), laidAs(other).shape());
    }

    Tensor laidAs(Parts other) {
      return inFirst == other.inFirst ? other.weight : other.weight.transposed(1, 0);
    }

    boolean differs(Parts other) {
      return !same(weight, laidAs(other)) || biasChange(other) != null;
    }

    double @Nullable [] biasChange(Parts other) {
      if (bias != null && other.bias != null && same(bias, other.bias)) {
        return null;
      }
      Tensor any = other.bias != null ? other.bias : bias;
      if (any == null) {
        return null;
      }
      double[] change = other.bias == null ? new double[(int) any.size()] : other.bias.toDoubles();
      double[] own = bias == null ? new double[change.length] : bias.toDoubles();
      Arrays.setAll(change, i -> change[i] - own[i]);
      return change;
    }
  }
}

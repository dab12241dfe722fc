package io.peft4j.adapters.convert;

import io.peft4j.AdaptedModel;
import io.peft4j.UnsupportedModelException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.hublora.Change;
import io.peft4j.adapters.hublora.HubLora;
import io.peft4j.adapters.hublora.Place;
import io.peft4j.adapters.ia3.Ia3;
import io.peft4j.adapters.lora.BiasTraining;
import io.peft4j.adapters.lora.Lora;
import io.peft4j.adapters.prompt.HubPrefixTuning;
import io.peft4j.adapters.prompt.HubPromptTuning;
import io.peft4j.adapters.prompt.PTuning;
import io.peft4j.adapters.prompt.PrefixTuning;
import io.peft4j.adapters.prompt.PromptTuning;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Turns LoRA, (IA)³ and prefixes of one library into those of the other. The converted adapter
 * computes the same; where it could not, the error says why.
 */
public final class AdapterConversion {
  private AdapterConversion() {}

  /**
   * An adapter as AdapterHub has it.
   *
   * @throws UnsupportedModelException if AdapterHub has nothing that computes the same
   */
  public static AdaptedModel toAdapterHub(AdaptedModel adapted) {
    AttachedAdapter adapter = adapted.adapter();
    AdapterMethod method = adapter.method();
    if (method instanceof Lora lora) {
      return adapted.with(loraToHub(adapter, lora));
    } else if (method instanceof Ia3) {
      return adapted.with(ia3ToHub(adapter));
    } else if (method instanceof PromptTuning || method instanceof PTuning) {
      // A model that AdapterHub's prompts do not stand on at all says so itself.
      new HubPromptTuning(1, false).attach(adapter.base(), adapter.name(), 0);
      throw refused(
          "PEFT puts its vectors in front of positions and norm and moves the text behind them,"
              + " where AdapterHub puts them behind the embeddings' norm and leaves the text at its"
              + " positions");
    } else if (method instanceof PrefixTuning prefix) {
      requireNothingWhole(adapter);
      return adapted.with(PrefixConversion.toHub(adapter, prefix));
    }
    throw noPartner(method, "AdapterHub");
  }

  /**
   * An adapter as PEFT has it.
   *
   * @throws UnsupportedModelException if PEFT has nothing that computes the same
   */
  public static AdaptedModel toPeft(AdaptedModel adapted) {
    AttachedAdapter adapter = adapted.adapter();
    if (adapter.method() instanceof HubPromptTuning) {
      throw refused(
          "AdapterHub puts its vectors behind the embeddings' norm and leaves the text at its"
              + " positions, where PEFT puts them in front of positions and norm and moves the text"
              + " behind them");
    } else if (adapter.method() instanceof HubPrefixTuning prefix) {
      return adapted.with(PrefixConversion.toPeft(adapter, prefix));
    } else if (!(adapter.method() instanceof HubLora)) {
      throw noPartner(adapter.method(), "PEFT");
    }
    HubLora hub = (HubLora) adapter.method();
    if (hub.gating()) {
      throw refused("use_gating lets a gate decide how much counts, which PEFT has not");
    }
    if (hub.change() == Change.SCALE) {
      return adapted.with(ia3ToPeft(adapter, hub));
    } else if (hub.change() == Change.SHARED_LOW_RANK) {
      throw refused(
          "AdapterHub's VeRA trains whole matrices where PEFT's has their diagonals; make it LoRA"
              + " with peft4j adapter extract");
    }
    if (hub.alpha() < 0) {
      throw refused("its alpha is negative, which PEFT's LoRA cannot have");
    }
    Lora lora =
        Lora.rank(hub.rank())
            .alpha(hub.alpha())
            .dropout(hub.dropout())
            .on(Targets.named(adapter.targets()));
    return adapted.with(moved(adapter, lora, "lora_A.weight", "lora_B.weight"));
  }

  private static AttachedAdapter loraToHub(AttachedAdapter adapter, Lora lora) {
    String more =
        lora.dora()
            ? "use_dora"
            : lora.loraBias()
                ? "lora_bias"
                : lora.bias() != BiasTraining.NONE
                    ? "bias"
                    : !lora.trainableTokenIndices().isEmpty()
                        ? "trainable_token_indices"
                        : lora.init().leavesResidual() ? "init_lora_weights" : "";
    if (!more.isEmpty()) {
      throw refused(more + " has no counterpart in AdapterHub's LoRA");
    }
    requireNothingWhole(adapter);
    Set<Integer> ranks = new HashSet<>();
    Set<Double> scales = new HashSet<>();
    for (String path : adapter.targets()) {
      ranks.add(lora.rankOf(path));
      scales.add(lora.scale(path));
    }
    if (ranks.size() > 1 || scales.size() > 1) {
      throw refused(
          "its modules differ in rank or alpha (%s, %s), of which AdapterHub's LoRA has one"
              .formatted(ranks, scales));
    }
    int rank = ranks.iterator().next();
    HubLora hub =
        HubLora.lora().rank(rank).alpha(rank * scales.iterator().next()).dropout(lora.dropout());
    return moved(adapter, placed(hub, adapter), "lora_A", "lora_B");
  }

  private static AttachedAdapter ia3ToHub(AttachedAdapter adapter) {
    requireNothingWhole(adapter);
    for (AdapterTensor tensor : adapter.tensors()) {
      if (adapter.graph().initializer(tensor.initializer()).dim(0) == 1) {
        throw refused(
            "it scales the input of '%s', where AdapterHub's (IA)³ scales outputs only"
                .formatted(tensor.module()));
      }
    }
    return moved(adapter, placed(HubLora.ia3(), adapter), "lora_A", "lora_B");
  }

  /** Scales of outputs, which PEFT has for modules that are no feed-forward ones to it. */
  private static AttachedAdapter ia3ToPeft(AttachedAdapter adapter, HubLora hub) {
    Ia3 method = Ia3.on(Targets.named(adapter.targets()), Targets.none());
    AttachedAdapter moved = moved(adapter, method, "lora_A", "ia3_l");
    if (hub.alpha() == 1) {
      return moved;
    }
    GraphEditor editor = moved.graph().edit();
    for (AdapterTensor tensor : moved.tensors()) {
      double[] scales = moved.graph().initializer(tensor.initializer()).toDoubles();
      for (int i = 0; i < scales.length; i++) {
        scales[i] *= hub.alpha();
      }
      editor.initializer(
          tensor.initializer(),
          Tensor.ofDoubles(new long[] {scales.length, 1}, scales).cast(DType.FLOAT32));
    }
    return moved.withGraph(editor.build());
  }

  private static void requireNothingWhole(AttachedAdapter adapter) {
    for (AdapterTensor tensor : adapter.tensors()) {
      if (tensor.parameter().equals("weight")) {
        throw refused(
            "it holds '%s' whole, for which AdapterHub's adapter has no place"
                .formatted(tensor.module()));
      }
    }
  }

  /** The same change at the adapter's targets, which must be the same layers everywhere. */
  private static HubLora placed(HubLora hub, AttachedAdapter adapter) {
    Set<String> targets = new HashSet<>(adapter.targets());
    Set<Place> places = EnumSet.noneOf(Place.class);
    Set<Integer> without = new LinkedHashSet<>();
    Set<String> covered = new HashSet<>();
    for (Place place : Place.values()) {
      List<String> paths = paths(hub.at(EnumSet.of(place), List.of()), adapter.base());
      List<Integer> missing = new ArrayList<>();
      for (int layer = 0; layer < paths.size(); layer++) {
        if (!targets.contains(paths.get(layer))) {
          missing.add(layer);
        }
      }
      if (missing.size() < paths.size()) {
        places.add(place);
        without.addAll(missing);
        covered.addAll(paths);
      }
    }
    HubLora placed = hub.at(places.isEmpty() ? hub.places() : places, List.copyOf(without));
    if (places.isEmpty() || !targets.equals(new HashSet<>(paths(placed, adapter.base())))) {
      targets.removeAll(covered);
      throw refused(
          targets.isEmpty()
              ? "its targets are not the same in every layer that it changes"
              : "AdapterHub has no place for its target '%s'".formatted(targets.iterator().next()));
    }
    return placed;
  }

  private static List<String> paths(HubLora hub, Graph base) {
    return hub.attach(base, "default", 0).targets();
  }

  /** The adapter as another method, its factors under the names that the other has. */
  private static AttachedAdapter moved(
      AttachedAdapter adapter, AdapterMethod to, String nameA, String nameB) {
    Map<String, Tensor> values = new LinkedHashMap<>();
    for (AdapterTensor tensor : adapter.tensors()) {
      boolean down = tensor.parameter().contains("lora_A");
      values.put(
          tensor.module() + (down ? " A" : " B"),
          adapter.graph().initializer(tensor.initializer()));
    }
    AttachedAdapter attached = to.attach(adapter.base(), adapter.name(), 0);
    GraphEditor editor = attached.graph().edit();
    for (AdapterTensor tensor : attached.tensors()) {
      Tensor value = value(values, tensor, nameA, nameB);
      if (value == null) {
        throw new IllegalStateException("lost " + tensor);
      }
      editor.initializer(tensor.initializer(), value);
    }
    return attached.withGraph(editor.build());
  }

  private static @Nullable Tensor value(
      Map<String, Tensor> values, AdapterTensor tensor, String nameA, String nameB) {
    return tensor.parameter().endsWith(nameA)
        ? values.get(tensor.module() + " A")
        : tensor.parameter().endsWith(nameB) ? values.get(tensor.module() + " B") : null;
  }

  private static UnsupportedModelException noPartner(AdapterMethod method, String library) {
    return refused(
        "%s has nothing that computes what %s does; if it can be merged, make it LoRA with peft4j adapter extract"
            .formatted(library, method.name()));
  }

  static UnsupportedModelException refused(String why) {
    return new UnsupportedModelException("the adapter cannot be converted: " + why);
  }
}

package io.peft4j.adapters.freeze;

import io.peft4j.PeftException;
import io.peft4j.RecipeException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.DataProbe;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.peft.StoredTensors;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.SplittableRandom;

/**
 * Trains single elements of chosen weights and freezes all others: an adapter of the trained values
 * and their places, as small as the share of the elements. The model starts as it is.
 *
 * @param selections the weights, as {@link Selection#text} writes them
 * @param share of the elements that train; at least one of each weight where weights are treated
 *     alike
 * @param choice which
 * @param counts how many of each weight, by its name, where that is known; the others have none
 */
public record ElementMask(
    List<String> selections, double share, ElementChoice choice, Map<String, Integer> counts)
    implements AdapterMethod {
  public static final String NAME = "element-mask";

  private static final String VALUES = ".values";
  private static final String PLACES = ".places";

  /**
   * @throws RecipeException if a value is out of its range
   */
  public ElementMask {
    selections = List.copyOf(selections);
    if (selections.isEmpty()) {
      throw new RecipeException("selections: an element mask needs at least one");
    }
    selections.forEach(Selection::parse);
    if (!(share > 0 && share <= 1)) {
      throw new RecipeException("share must be above 0 and at most 1, was " + share);
    }
    if (counts.values().stream().anyMatch(count -> count < 1)) {
      throw new RecipeException("counts must be 1 or more, was " + counts);
    }
    counts = Collections.unmodifiableMap(new LinkedHashMap<>(counts));
  }

  /** A share of the elements of all weights, those that the loss depends on most. */
  public static ElementMask share(double share) {
    return new ElementMask(List.of("all"), share, ElementChoice.FISHER, Map.of());
  }

  /** The same within what a freeze mask selects. */
  public ElementMask within(FreezeMask mask) {
    List<String> texts = mask.selections().stream().map(Selection::text).toList();
    return new ElementMask(texts, share, choice, counts);
  }

  /** The same with elements that are chosen in another way. */
  public ElementMask choosing(ElementChoice newChoice) {
    return new ElementMask(selections, share, newChoice, counts);
  }

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public AttachedAdapter attach(Graph base, String adapter, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    Map<AdapterTensor, int[]> places = new LinkedHashMap<>();
    for (AdapterTensor weight : weights(base)) {
      Tensor values = base.initializer(weight.initializer());
      int size = Math.toIntExact(values.size());
      int count = count(ModelWeights.fullName(weight), size);
      if (count > 0) {
        boolean largest = choice == ElementChoice.MAGNITUDE && counts.isEmpty();
        places.put(weight, largest ? largest(values, count) : drawn(count, size, random));
      }
    }
    return attach(base, adapter, places);
  }

  private List<AdapterTensor> weights(Graph base) {
    ModelWeights weights = ModelWeights.of(base);
    List<AdapterTensor> chosen = weights.chosen(selections.stream().map(Selection::parse).toList());
    Set<String> unknown = new HashSet<>(counts.keySet());
    chosen.forEach(weight -> unknown.remove(ModelWeights.fullName(weight)));
    if (!unknown.isEmpty()) {
      throw new PeftException(
          "counts names '%s', which is no weight that %s selects in this model"
              .formatted(Collections.min(unknown), selections));
    }
    return chosen;
  }

  private int count(String name, int size) {
    if (counts.isEmpty()) {
      return (int) Math.max(1, Math.round(share * size));
    }
    int count = counts.getOrDefault(name, 0);
    if (count > size) {
      throw new PeftException(
          "counts is %d for '%s', which has %d elements; is this the adapter's base model?"
              .formatted(count, name, size));
    }
    return count;
  }

  /** Different places below a size, in order (Floyd's algorithm). */
  private static int[] drawn(int count, int size, SplittableRandom random) {
    BitSet chosen = new BitSet(size);
    for (int last = size - count; last < size; last++) {
      int place = random.nextInt(last + 1);
      chosen.set(chosen.get(place) ? last : place);
    }
    return chosen.stream().toArray();
  }

  private static int[] largest(Tensor values, int count) {
    float[] sizes = values.toFloats();
    for (int i = 0; i < sizes.length; i++) {
      sizes[i] = Math.abs(sizes[i]);
    }
    return Highest.of(List.of(sizes), count).get(0);
  }

  private AttachedAdapter attach(Graph base, String adapter, Map<AdapterTensor, int[]> places) {
    GraphEditor editor = base.edit().tagging(adapter);
    List<AdapterTensor> tensors = new ArrayList<>();
    places.forEach(
        (weight, chosen) -> {
          if (chosen.length > 0) {
            add(editor, adapter, weight, chosen, tensors);
          }
        });
    List<String> modules = tensors.stream().map(AdapterTensor::module).distinct().toList();
    return new AttachedAdapter(adapter, this, base, editor.build(), tensors, modules);
  }

  /** Lets the readers of a weight see the trained values at their places. */
  private static void add(
      GraphEditor editor,
      String adapter,
      AdapterTensor weight,
      int[] places,
      List<AdapterTensor> tensors) {
    Tensor present = editor.requiredInitializer(weight.initializer());
    String name = ModelWeights.fullName(weight);
    String values = name + VALUES + "." + adapter;
    String indices = name + PLACES + "." + adapter;
    double[] all = present.toDoubles();
    double[] chosen = Arrays.stream(places).mapToDouble(place -> all[place]).toArray();
    long[] wide = Arrays.stream(places).asLongStream().toArray();
    editor.initializer(
        values, Tensor.ofDoubles(new long[] {places.length}, chosen).cast(DType.FLOAT32));
    editor.train(values);
    editor.initializer(indices, Tensor.ofLongs(new long[] {places.length}, wide).cast(DType.INT32));
    Set<Object> old = new HashSet<>(editor.nodes());
    Expression updates = Expression.of(editor, name, adapter, values);
    Expression replaced =
        Expression.of(editor, name, adapter, weight.initializer())
            .reshaped(-1)
            .scattered(
                Expression.of(editor, name, adapter, indices).reshaped(-1, 1),
                present.dtype() == DType.FLOAT32 ? updates : updates.cast(present.dtype()))
            .reshaped(present.shape());
    editor.replaceUses(weight.initializer(), replaced.value(), node -> !old.contains(node));
    tensors.add(new AdapterTensor(values, weight.module(), weight.parameter() + VALUES));
    tensors.add(new AdapterTensor(indices, weight.module(), weight.parameter() + PLACES));
  }

  @Override
  public AttachedAdapter started(AttachedAdapter adapter, DataProbe probe) {
    if (choice != ElementChoice.FISHER || !counts.isEmpty()) {
      return adapter;
    }
    List<AdapterTensor> weights = weights(adapter.base());
    List<float[]> scores =
        FisherInformation.of(
            adapter.base(), weights.stream().map(AdapterTensor::initializer).toList(), probe);
    long elements = scores.stream().mapToLong(score -> score.length).sum();
    List<int[]> highest = Highest.of(scores, Math.max(1, Math.round(share * elements)));
    Map<AdapterTensor, int[]> places = new LinkedHashMap<>();
    for (int i = 0; i < highest.size(); i++) {
      places.put(weights.get(i), highest.get(i));
    }
    return counted(attach(adapter.base(), adapter.name(), places));
  }

  /** The adapter with a method that tells how many elements of each weight it has. */
  static AttachedAdapter counted(AttachedAdapter adapter) {
    ElementMask mask = (ElementMask) adapter.method();
    Map<String, Integer> counts = new LinkedHashMap<>();
    for (AdapterTensor tensor : adapter.tensors()) {
      if (tensor.parameter().endsWith(VALUES)) {
        int count = Math.toIntExact(adapter.graph().initializer(tensor.initializer()).size());
        counts.put(weightName(tensor, VALUES), count);
      }
    }
    return new AttachedAdapter(
        adapter.name(),
        new ElementMask(mask.selections, mask.share, mask.choice, counts),
        adapter.base(),
        adapter.graph(),
        adapter.tensors(),
        adapter.targets());
  }

  /**
   * @throws io.peft4j.CheckpointFormatException if a place is not within its weight
   */
  static void checkPlaces(Path file, AttachedAdapter read) {
    Map<String, AdapterTensor> byName = byName(read.base());
    for (AdapterTensor tensor : read.tensors()) {
      if (tensor.parameter().endsWith(PLACES)) {
        String name = weightName(tensor, PLACES);
        String weight = Objects.requireNonNull(byName.get(name)).initializer();
        long[] places = read.graph().initializer(tensor.initializer()).toLongs();
        StoredTensors.requireWithin(file, tensor, places, read.base().initializer(weight).size());
      }
    }
  }

  private static Map<String, AdapterTensor> byName(Graph base) {
    Map<String, AdapterTensor> byName = new LinkedHashMap<>();
    ModelWeights.of(base)
        .all()
        .forEach(weight -> byName.put(ModelWeights.fullName(weight), weight));
    return byName;
  }

  private static String weightName(AdapterTensor tensor, String part) {
    String name = ModelWeights.fullName(tensor);
    return name.substring(0, name.length() - part.length());
  }

  @Override
  public Graph merge(AttachedAdapter adapter) {
    GraphEditor editor = adapter.base().edit();
    Map<String, AdapterTensor> byName = byName(adapter.base());
    for (AdapterTensor tensor : adapter.tensors()) {
      if (tensor.parameter().endsWith(VALUES)) {
        String name = weightName(tensor, VALUES);
        AdapterTensor weight = Objects.requireNonNull(byName.get(name));
        double[] values = adapter.graph().initializer(tensor.initializer()).toDoubles();
        long[] places = adapter.graph().initializer(name + PLACES + "." + adapter.name()).toLongs();
        put(editor, weight.initializer(), places, values);
      }
    }
    return editor.build();
  }

  private static void put(GraphEditor editor, String weight, long[] places, double[] values) {
    Tensor before = editor.requiredInitializer(weight);
    double[] all = before.toDoubles();
    for (int i = 0; i < places.length; i++) {
      all[Math.toIntExact(places[i])] = values[i];
    }
    editor.initializer(weight, Tensor.ofDoubles(before.shape(), all).cast(before.dtype()));
  }
}

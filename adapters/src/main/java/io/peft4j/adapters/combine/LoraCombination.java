package io.peft4j.adapters.combine;

import com.google.common.primitives.Doubles;
import io.peft4j.PeftException;
import io.peft4j.adapters.peft.HeadFiles.Head;
import io.peft4j.adapters.peft.PeftFolder;
import io.peft4j.graph.Tensor;
import io.peft4j.math.Matrix;
import io.peft4j.math.Svd;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * LoRA folders made into one, module by module; at a module that only some of them have, these
 * alone count.
 */
final class LoraCombination {
  private final Combination combination;
  private final List<LoraFolder> inputs;
  private final TaskArithmetic arithmetic;

  LoraCombination(Combination combination, List<LoraFolder> inputs) {
    this.combination = combination;
    this.inputs = inputs;
    Double density = combination.density();
    MajoritySign sign = combination.majoritySign();
    Long seed = combination.seed();
    arithmetic =
        new TaskArithmetic(
            combination.type(),
            density == null ? 1 : density,
            sign == null ? MajoritySign.TOTAL : sign,
            new SplittableRandom(seed == null ? 0 : seed));
  }

  PeftFolder combined() {
    Set<String> modules = new LinkedHashSet<>();
    inputs.forEach(input -> modules.addAll(input.modules().keySet()));
    Map<String, LoraFactors> results = new LinkedHashMap<>();
    for (String module : modules) {
      results.put(module, combined(module));
    }
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    results.forEach(
        (module, factors) -> {
          tensors.put(factors.keyA(module), factors.a());
          tensors.put(factors.keyB(module), factors.b());
        });
    tensors.putAll(wholeModules());
    PeftFolder first = inputs.get(0).files();
    return new PeftFolder(first.folder(), fields(results), tensors, head());
  }

  private LoraFactors combined(String module) {
    List<LoraFactors> parts = new ArrayList<>();
    List<Double> weights = new ArrayList<>();
    for (int i = 0; i < inputs.size(); i++) {
      LoraFactors part = inputs.get(i).modules().get(module);
      if (part != null) {
        requireFits(module, parts, part);
        parts.add(part);
        weights.add(combination.weights().get(i));
      }
    }
    return combination.type() == CombinationType.CAT
        ? sideBySide(parts, weights)
        : combination.type().isOfUpdates()
            ? ofUpdates(parts, weights)
            : ofFactors(module, parts, weights);
  }

  private void requireFits(String module, List<LoraFactors> before, LoraFactors part) {
    if (before.isEmpty()) {
      return;
    }
    LoraFactors first = before.get(0);
    boolean fits =
        Arrays.equals(inner(first.a()), inner(part.a()))
            && first.b().dim(0) == part.b().dim(0)
            && first.embedding() == part.embedding();
    if (!fits) {
      throw new PeftException(
          "at '%s' one adapter has A %s and B %s, another A %s and B %s; combine adapters of one base model"
              .formatted(module, first.a(), first.b(), part.a(), part.b()));
    }
  }

  private static long[] inner(Tensor a) {
    return Arrays.copyOfRange(a.shape(), 1, a.rank());
  }

  private static LoraFactors sideBySide(List<LoraFactors> parts, List<Double> weights) {
    double[] down = new double[0];
    double[] up = new double[0];
    int rank = 0;
    for (int i = 0; i < parts.size(); i++) {
      LoraFactors part = parts.get(i);
      rank += part.rank();
      down = Doubles.concat(down, part.down().scaled(weights.get(i) * part.scale()).values());
      up = Doubles.concat(up, part.up().transposed().values());
    }
    return parts
        .get(0)
        .with(
            Matrix.of(rank, down.length / rank, down),
            Matrix.of(rank, up.length / rank, up).transposed());
  }

  private LoraFactors ofFactors(String module, List<LoraFactors> parts, List<Double> weights) {
    List<Double> forA = new ArrayList<>();
    List<Double> forB = new ArrayList<>();
    LoraFactors first = parts.get(0);
    for (int i = 0; i < parts.size(); i++) {
      LoraFactors part = parts.get(i);
      if (part.rank() != first.rank()) {
        throw new PeftException(
            "at '%s' the adapters have the ranks %d and %d, which the type %s cannot combine; use cat or svd"
                .formatted(module, first.rank(), part.rank(), combination.type()));
      }
      // The sign on one side only, since (-1)(-1) would lose it.
      double factor = weights.get(i) * part.scale();
      forA.add(Math.copySign(Math.sqrt(Math.abs(factor)), factor));
      forB.add(Math.sqrt(Math.abs(factor)));
    }
    Matrix down = first.down();
    Matrix up = first.up();
    return first.with(
        Matrix.of(
            down.rows(),
            down.columns(),
            arithmetic.combined(parts.stream().map(p -> p.down().values()).toList(), forA)),
        Matrix.of(
            up.rows(),
            up.columns(),
            arithmetic.combined(parts.stream().map(p -> p.up().values()).toList(), forB)));
  }

  private LoraFactors ofUpdates(List<LoraFactors> parts, List<Double> weights) {
    LoraFactors first = parts.get(0);
    List<double[]> updates = parts.stream().map(part -> part.update().values()).toList();
    int rows = first.up().rows();
    int columns = first.down().columns();
    Svd svd = Svd.of(Matrix.of(rows, columns, arithmetic.combined(updates, weights)));
    Svd cut = svd.truncated(Math.min(rank(), svd.singular().length));
    return first.with(cut.vTransposed(), cut.u().scaledColumns(cut.singular()));
  }

  /** The rank to cut to: what was asked for, or the largest. */
  private int rank() {
    Integer asked = combination.rank();
    return asked != null
        ? asked
        : inputs.stream()
            .flatMap(input -> input.modules().values().stream())
            .mapToInt(LoraFactors::rank)
            .max()
            .orElseThrow();
  }

  /** What the adapters trained whole; a module that several have cannot be summed. */
  private Map<String, Tensor> wholeModules() {
    Map<String, Tensor> all = new LinkedHashMap<>();
    for (LoraFolder input : inputs) {
      input
          .others()
          .forEach(
              (key, tensor) -> {
                Tensor before = all.putIfAbsent(key, tensor);
                if (before != null && !before.contentEquals(tensor)) {
                  throw new PeftException(
                      "%s and another adapter hold '%s' whole with different values, of which there is no weighted sum; use the type average, or leave the module out of modules_to_save"
                          .formatted(input.files().folder(), key));
                }
              });
    }
    return all;
  }

  private Head head() {
    Head found = inputs.get(0).files().head();
    for (LoraFolder input : inputs) {
      Head other = input.files().head();
      if (found.stored() == null && found.labels().isEmpty()) {
        found = other;
      }
      boolean differs = !found.labels().equals(other.labels()) || !Average.sameHead(found, other);
      if (differs && (other.stored() != null || !other.labels().isEmpty())) {
        throw new PeftException(
            "%s and another adapter have heads or labels of their own, of which there is no weighted sum; use the type average, or remove head.safetensors and peft4j.json beside one"
                .formatted(input.files().folder()));
      }
    }
    return found;
  }

  /** The first adapter's, with ranks of the result and a scale of 1. */
  private Map<String, @Nullable Object> fields(Map<String, LoraFactors> results) {
    int rank = results.values().stream().mapToInt(LoraFactors::rank).max().orElseThrow();
    Map<String, Integer> others = new LinkedHashMap<>();
    results.forEach(
        (module, factors) -> {
          if (factors.rank() != rank) {
            others.put(LoraFolder.path(module).replace(".", "\\."), factors.rank());
          }
        });
    Map<String, @Nullable Object> fields = new TreeMap<>(inputs.get(0).files().fields());
    fields.put("r", rank);
    fields.put("lora_alpha", rank);
    fields.put("use_rslora", false);
    fields.put("rank_pattern", others);
    fields.put("alpha_pattern", others);
    fields.put("init_lora_weights", true);
    fields.put("target_modules", targets(results.keySet()));
    fields.put("exclude_modules", null);
    fields.put("layers_to_transform", null);
    fields.put("layers_pattern", null);
    fields.put("modules_to_save", modulesToSave());
    return fields;
  }

  /** The names that all have in common, if they are no more than that; else every path. */
  private Object targets(Set<String> modules) {
    PeftFolder first = inputs.get(0).files();
    Object names = first.fields().get("target_modules");
    boolean plain =
        names instanceof List<?>
            && inputs.stream()
                .map(LoraFolder::files)
                .allMatch(
                    files -> isPlain(files) && names.equals(files.fields().get("target_modules")));
    return names != null && plain ? names : modules.stream().map(LoraFolder::path).toList();
  }

  private static boolean isPlain(PeftFolder files) {
    return !files.config().has("layers_to_transform") && !files.config().has("exclude_modules");
  }

  private @Nullable List<String> modulesToSave() {
    Set<String> saved = new LinkedHashSet<>();
    inputs.forEach(input -> saved.addAll(input.lora().modulesToSave()));
    return saved.isEmpty() ? null : List.copyOf(saved);
  }
}

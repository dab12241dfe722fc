package io.peft4j.adapters.extract;

import io.peft4j.AdaptedModel;
import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.RecipeException;
import io.peft4j.Version;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.freeze.FreezeMask;
import io.peft4j.adapters.lora.Lora;
import io.peft4j.format.ContentHash;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.math.Matrix;
import io.peft4j.math.Svd;
import io.peft4j.site.EmbeddingSite;
import io.peft4j.site.LinearSite;
import io.peft4j.site.Role;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * LoRA out of changed weights: for each module the update W' − W = U S Vᵀ is cut to its largest
 * singular values, A = √S Vᵀ and B = U √S; no matrix of that rank is nearer (Eckart and Young).
 * Changed biases become the bias of B; norms and small output layers are kept whole.
 *
 * @param rank of every module; null to let the energy decide
 * @param energy the share of the sum of squared singular values that each module keeps, above 0 and
 *     at most 1; null if the rank is given
 */
public record LoraExtraction(@Nullable Integer rank, @Nullable Double energy) {

  /**
   * @throws RecipeException if a value is out of its range, or not one of the two is given
   */
  public LoraExtraction {
    if ((rank == null) == (energy == null)) {
      throw new RecipeException("rank or energy: give one of the two");
    }
    if (rank != null && rank < 1) {
      throw new RecipeException("rank must be at least 1, was " + rank);
    }
    if (energy != null && !(energy > 0 && energy <= 1)) {
      throw new RecipeException("energy must be above 0 and at most 1, was " + energy);
    }
  }

  /**
   * How well one module's update is met.
   *
   * @param norm ‖ΔW‖ (Frobenius)
   * @param error ‖ΔW − B A‖ / ‖ΔW‖, of the numbers that are stored; 0 if the weight does not change
   */
  public record ModuleError(String path, int rank, double norm, double error) {}

  /**
   * What came of it.
   *
   * @param model the base model with the LoRA
   * @param modules the errors of its modules
   * @param whole modules that are kept whole
   * @param error √Σ‖ΔW − B A‖² / √Σ‖ΔW‖² over all modules
   */
  public record Extracted(
      AdaptedModel model, List<ModuleError> modules, List<String> whole, double error) {
    public Extracted {
      modules = List.copyOf(modules);
      whole = List.copyOf(whole);
    }
  }

  /**
   * LoRA that does what an adapter does.
   *
   * @throws PeftException if the adapter cannot be merged, or changes what LoRA cannot carry
   */
  public Extracted of(AdaptedModel adapted) {
    AttachedAdapter adapter = adapted.adapter();
    ModelDifference difference = ModelDifference.of(adapter);
    Set<String> saved = new HashSet<>();
    if (!(adapter.method() instanceof FreezeMask)) {
      for (AdapterTensor tensor : adapter.tensors()) {
        if (tensor.parameter().equals("weight")) {
          saved.add(tensor.module());
        }
      }
    }
    Plan plan = plan(difference, saved);
    AttachedAdapter attached = plan.attached(adapter.base(), adapter.name());
    AdaptedModel model = adapted.with(attached);
    note(model);
    return plan.extracted(model);
  }

  /**
   * LoRA that makes one model of another.
   *
   * @throws PeftException if they are not of one form, or differ in what LoRA cannot carry
   */
  public Extracted of(PretrainedModel base, PretrainedModel changed) {
    PretrainedModel plain = base.dequantized();
    Plan plan = plan(ModelDifference.of(plain.graph(), changed.dequantized().graph()), Set.of());
    AdaptedModel start = plain.attach(plan.lora());
    AdaptedModel model = start.with(plan.attached(plain.graph(), PretrainedModel.DEFAULT_ADAPTER));
    model.nameLabels(changed.checkpoint().labels());
    note(model);
    return plan.extracted(model);
  }

  private static void note(AdaptedModel model) {
    model.note("peft4j", Version.text());
    model.note("baseSha256", ContentHash.of(model.base().graph()));
  }

  private Plan plan(ModelDifference difference, Set<String> saved) {
    Plan plan = new Plan(difference.after());
    difference.norms().forEach(norm -> plan.whole.add(norm.path()));
    boolean biases = difference.changes().stream().anyMatch(change -> change.bias() != null);
    for (WeightChange change : difference.changes()) {
      // PEFT's LoRA on a table of vectors does not go with lora_bias.
      boolean table = change.site() instanceof EmbeddingSite && biases;
      if (table || saved.contains(change.path()) || isSmallOutput(change)) {
        plan.whole.add(change.path());
      } else {
        plan.add(change, this);
      }
    }
    if (plan.factors.isEmpty()) {
      throw new PeftException(
          plan.whole.isEmpty()
              ? "no weight differs, so there is nothing to extract; check that these are the right"
                  + " files"
              : "only modules that are kept whole differ (%s), so there is nothing for LoRA; keep the adapter as it is"
                  .formatted(String.join(", ", plan.whole)));
    }
    return plan;
  }

  /** A classifier: smaller than the factors would be. */
  private static boolean isSmallOutput(WeightChange change) {
    return change.site() instanceof LinearSite linear
        && linear.role() == Role.OUTPUT
        && linear.outFeatures() < linear.inFeatures();
  }

  /** Singular values that are kept of a module, at least one. */
  private int kept(double... singular) {
    if (rank != null) {
      return Math.min(rank, singular.length);
    }
    double all = 0;
    for (double value : singular) {
      all += value * value;
    }
    double wanted = energy == null ? all : energy * all;
    double sum = 0;
    int count = 0;
    while (count < singular.length && (count == 0 || sum < wanted)) {
      sum += singular[count] * singular[count];
      count++;
    }
    return count;
  }

  /** A and B of one module, and what its bias has more. */
  private record Factors(Matrix a, Matrix b, double @Nullable [] bias) {}

  /** What is to be attached. */
  private static final class Plan {
    private final Graph after;
    private final Map<String, Factors> factors = new LinkedHashMap<>();
    private final List<ModuleError> errors = new ArrayList<>();
    private final List<String> whole = new ArrayList<>();

    Plan(Graph after) {
      this.after = after;
    }

    void add(WeightChange change, LoraExtraction extraction) {
      Matrix update = change.update();
      double norm = update.norm();
      Svd svd = Svd.of(update);
      Svd cut = svd.truncated(extraction.kept(svd.singular()));
      double[] roots = cut.singular();
      for (int i = 0; i < roots.length; i++) {
        roots[i] = Math.sqrt(roots[i]);
      }
      Matrix a = rounded(cut.vTransposed().scaledRows(roots));
      Matrix b = rounded(cut.u().scaledColumns(roots));
      factors.put(change.path(), new Factors(a, b, change.bias()));
      double error = norm == 0 ? 0 : update.minus(b.times(a)).norm() / norm;
      errors.add(new ModuleError(change.path(), roots.length, norm, error));
    }

    private static Matrix rounded(Matrix matrix) {
      return Matrix.of(matrix.toTensor(DType.FLOAT32));
    }

    Lora lora() {
      int rank = factors.values().stream().mapToInt(f -> f.a().rows()).max().orElseThrow();
      Map<String, Integer> ranks = new LinkedHashMap<>();
      Map<String, Double> alphas = new LinkedHashMap<>();
      factors.forEach(
          (path, f) -> {
            if (f.a().rows() != rank) {
              ranks.put(path.replace(".", "\\."), f.a().rows());
              alphas.put(path.replace(".", "\\."), (double) f.a().rows());
            }
          });
      return Lora.rank(rank)
          .alpha(rank)
          .rankPattern(ranks)
          .alphaPattern(alphas)
          .modulesToSave(whole)
          .loraBias(factors.values().stream().anyMatch(f -> f.bias() != null))
          .on(Targets.named(List.copyOf(factors.keySet())));
    }

    AttachedAdapter attached(Graph base, String name) {
      AttachedAdapter attached = lora().attach(base, name, 0);
      GraphEditor editor = attached.graph().edit();
      for (AdapterTensor tensor : attached.tensors()) {
        Tensor place = attached.graph().initializer(tensor.initializer());
        editor.initializer(tensor.initializer(), value(tensor, place));
      }
      return attached.withGraph(editor.build());
    }

    private Tensor value(AdapterTensor tensor, Tensor place) {
      Factors f = factors.get(tensor.module());
      if (f == null) {
        return after.initializer(tensor.initializer()).cast(place.dtype());
      }
      double[] bias = f.bias();
      return switch (tensor.parameter()) {
        case "lora_A.weight", "lora_embedding_A" ->
            f.a().toTensor(place.dtype()).reshaped(place.shape());
        case "lora_B.weight", "lora_embedding_B" ->
            f.b().toTensor(place.dtype()).reshaped(place.shape());
        default ->
            bias == null
                ? Tensor.zeros(place.dtype(), place.shape())
                : Tensor.ofDoubles(place.shape(), bias).cast(place.dtype());
      };
    }

    Extracted extracted(AdaptedModel model) {
      double squares = 0;
      double missed = 0;
      for (ModuleError module : errors) {
        squares += module.norm() * module.norm();
        missed += Math.pow(module.norm() * module.error(), 2);
      }
      double error = squares == 0 ? 0 : Math.sqrt(missed / squares);
      return new Extracted(model, errors, whole, error);
    }
  }
}

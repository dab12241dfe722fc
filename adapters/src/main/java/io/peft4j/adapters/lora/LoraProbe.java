package io.peft4j.adapters.lora;

import com.google.common.primitives.Doubles;
import io.peft4j.PeftException;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.DataProbe;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.Program;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.math.Matrix;
import io.peft4j.math.Svd;
import io.peft4j.math.SymmetricEigen;
import io.peft4j.site.LinearSite;
import io.peft4j.site.Site;
import io.peft4j.site.Sites;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** Finds starts and ranks of LoRA that depend on data, by running the base model on some of it. */
final class LoraProbe {
  /** LoRA-GA's γ (section 3.3 of the paper), with which updates are stable for any size. */
  private static final double GAMMA = 16;

  /** By how much a layer's rank may grow when EVA spreads all ranks anew (ρ of the paper). */
  private static final double MOST = 2;

  private final Lora lora;
  private final AttachedAdapter adapter;
  private final DataProbe probe;
  private final List<LinearSite> layers = new ArrayList<>();

  private LoraProbe(Lora lora, AttachedAdapter adapter, DataProbe probe) {
    this.lora = lora;
    this.adapter = adapter;
    this.probe = probe;
    for (Site site : lora.targets().select(Sites.of(adapter.base()))) {
      if (site instanceof LinearSite linear) {
        layers.add(linear);
      }
    }
    if (layers.isEmpty()) {
      throw new PeftException(
          "%s is for linear layers, and no target is one"
              .formatted(
                  lora.init().needsData()
                      ? "init " + lora.init().label()
                      : "rank_allocation gradient"));
    }
  }

  /** The adapter with the start that the data give it; one that has it stays as it is. */
  static AttachedAdapter started(Lora lora, AttachedAdapter adapter, DataProbe probe) {
    LoraProbe own = new LoraProbe(lora, adapter, probe);
    if (lora.init() == LoraStart.LORA_GA && own.isStarted()) {
      return adapter;
    }
    return lora.init() == LoraStart.EVA ? own.variances() : own.gradients();
  }

  /** Whether weights were left already; after EVA and allocation a method needs no probe. */
  private boolean isStarted() {
    return layers.stream()
        .map(LinearSite::weight)
        .anyMatch(w -> adapter.graph().initializer(w) != adapter.base().initializer(w));
  }

  /** EVA: the directions in which inputs vary most, and higher ranks where they explain more. */
  private AttachedAdapter variances() {
    Map<String, Spread> inputs = spreads();
    Map<String, Integer> ranks = ranks(inputs);
    Map<String, StartValues> starts = new HashMap<>();
    for (LinearSite layer : layers) {
      int r = Objects.requireNonNull(ranks.get(layer.path()));
      Matrix a = Objects.requireNonNull(inputs.get(layer.input())).directions(r);
      Matrix b = Matrix.zeros(Math.toIntExact(layer.outFeatures()), r);
      starts.put(layer.path(), StartValues.of(a, b));
    }
    return attached(ofRanks(ranks).init(LoraStart.DEFAULT), starts);
  }

  /** The method with ranks of single layers; the scales s stay. */
  private Lora ofRanks(Map<String, Integer> found) {
    Map<String, Integer> ranks = new LinkedHashMap<>(found);
    Map<String, Double> alphas = new LinkedHashMap<>();
    found.forEach(
        (path, r) ->
            alphas.put(path, lora.scale(path) * (lora.rankStabilized() ? Math.sqrt(r) : r)));
    // The first pattern that matches counts, so that single layers stand before the user's own.
    lora.rankPattern().forEach(ranks::putIfAbsent);
    lora.alphaPattern().forEach(alphas::putIfAbsent);
    return lora.rankPattern(ranks).alphaPattern(alphas);
  }

  /**
   * How inputs of a layer spread.
   *
   * @param variances along the directions, falling, as shares of all
   * @param rows the directions, one a row
   */
  private record Spread(double[] variances, Matrix rows) {
    static Spread of(Matrix covariance) {
      SymmetricEigen eigen = SymmetricEigen.of(covariance);
      double[] values = eigen.values();
      Doubles.reverse(values);
      double total = Math.max(Arrays.stream(values).sum(), Double.MIN_NORMAL);
      int size = values.length;
      double[] rows = new double[size * size];
      for (int i = 0; i < rows.length; i++) {
        rows[i] = eigen.vectors().get(i % size, size - 1 - i / size);
      }
      return new Spread(
          Arrays.stream(values).map(v -> v / total).toArray(), Matrix.of(size, size, rows));
    }

    Matrix directions(int count) {
      return rows.rows(0, count);
    }
  }

  /** Ranks of the same sum, one at least, the others where a direction explains most. */
  private Map<String, Integer> ranks(Map<String, Spread> inputs) {
    record Candidate(String path, double share) {}
    Map<String, Integer> ranks = new LinkedHashMap<>();
    List<Candidate> candidates = new ArrayList<>();
    int budget = 0;
    for (LinearSite layer : layers) {
      int before = lora.rankOf(layer.path());
      budget += before - 1;
      ranks.put(layer.path(), 1);
      double[] shares = Objects.requireNonNull(inputs.get(layer.input())).variances();
      for (int i = 1; i < Math.min(Math.round(MOST * before), shares.length); i++) {
        candidates.add(new Candidate(layer.path(), shares[i]));
      }
    }
    candidates.sort(Comparator.comparingDouble(Candidate::share).reversed());
    for (Candidate candidate : candidates.subList(0, Math.min(budget, candidates.size()))) {
      ranks.merge(candidate.path(), 1, Integer::sum);
    }
    return ranks;
  }

  /** The spread of each input of a layer over all tokens that are no padding, by value. */
  private Map<String, Spread> spreads() {
    Graph base = adapter.base();
    GraphEditor editor = base.edit().clearOutputs();
    layers.stream()
        .map(LinearSite::input)
        .distinct()
        .forEach(x -> editor.output(Value.of(x, DType.FLOAT32)));
    Map<String, Moments> moments = new LinkedHashMap<>();
    try (Program program =
        TorchEngine.compile(editor.freezeAll().prune().build(), CompileOptions.evaluation())) {
      for (Map<String, Tensor> batch : probe.batches()) {
        Map<String, Tensor> inputs = new LinkedHashMap<>(batch);
        inputs.keySet().retainAll(program.inputNames());
        program
            .run(inputs)
            .forEach(
                (name, x) ->
                    moments
                        .computeIfAbsent(name, key -> new Moments(x.dim(-1)))
                        .add(rows(x, batch.get("attention_mask"))));
      }
    }
    Map<String, Spread> spreads = new LinkedHashMap<>();
    moments.forEach((name, sums) -> spreads.put(name, Spread.of(sums.covariance())));
    return spreads;
  }

  /** A value [..., in] as rows, without those of padding. */
  private static Matrix rows(Tensor x, @Nullable Tensor mask) {
    int in = Math.toIntExact(x.dim(-1));
    double[] all = x.toDoubles();
    boolean masked =
        mask != null && x.rank() == 3 && x.dim(0) == mask.dim(0) && x.dim(1) == mask.dim(1);
    if (mask == null || !masked) {
      return Matrix.of(all.length / in, in, all);
    }
    long[] real = mask.toLongs();
    int count = 0;
    for (int i = 0; i < real.length; i++) {
      if (real[i] != 0) {
        System.arraycopy(all, i * in, all, count++ * in, in);
      }
    }
    return Matrix.of(count, in, Arrays.copyOf(all, count * in));
  }

  /** Sums over rows, of which a covariance is made. */
  private static final class Moments {
    private final double[] sum;
    private Matrix products;
    private long count;

    Moments(long size) {
      sum = new double[Math.toIntExact(size)];
      products = Matrix.zeros(sum.length, sum.length);
    }

    void add(Matrix rows) {
      products = products.plus(rows.transposed().times(rows));
      count += rows.rows();
      double[] values = rows.values();
      for (int i = 0; i < values.length; i++) {
        sum[i % sum.length] += values[i];
      }
    }

    Matrix covariance() {
      Matrix mean = Matrix.of(1, sum.length, sum).scaled(1.0 / count);
      return products.scaled(1.0 / count).minus(mean.transposed().times(mean));
    }
  }

  /**
   * What the gradients G of the weights, [out, in], decide: ranks; LoRA-GA's start, by which one
   * step of A and B changes W as a step along G would.
   */
  private AttachedAdapter gradients() {
    Map<String, Matrix> gradients = weightGradients();
    Lora method = lora;
    if (lora.rankAllocation() == RankAllocation.GRADIENT) {
      List<GradientRanks.Layer> measured = new ArrayList<>();
      gradients.forEach(
          (path, gradient) ->
              measured.add(
                  new GradientRanks.Layer(
                      path,
                      lora.rankOf(path),
                      gradient.rows() + gradient.columns(),
                      Svd.of(gradient).singular())));
      method = ofRanks(GradientRanks.of(measured)).rankAllocation(RankAllocation.UNIFORM);
    }
    Map<String, StartValues> starts = new HashMap<>();
    if (lora.init() == LoraStart.LORA_GA) {
      for (LinearSite layer : layers) {
        Matrix gradient = Objects.requireNonNull(gradients.get(layer.path()));
        starts.put(layer.path(), along(method, layer, gradient));
      }
    }
    return attached(method, starts);
  }

  private Map<String, Matrix> weightGradients() {
    Graph base = adapter.base();
    GraphEditor editor = base.edit().freezeAll();
    for (LinearSite layer : layers) {
      editor.initializer(layer.weight(), base.initializer(layer.weight()).cast(layer.dtype()));
      editor.train(layer.weight());
    }
    Map<String, Matrix> sums = new LinkedHashMap<>();
    try (TorchProgram program =
        TorchEngine.compile(probe.judged(editor.build()), CompileOptions.evaluation())) {
      for (Map<String, Tensor> batch : probe.batches()) {
        Map<String, Tensor> inputs = new LinkedHashMap<>(batch);
        inputs.keySet().retainAll(program.inputNames());
        program.backward(inputs, DataProbe.LOSS);
      }
      for (LinearSite layer : layers) {
        Matrix gradient = Matrix.of(program.parameters().gradient(layer.weight()));
        sums.put(layer.path(), layer.inFirst() ? gradient.transposed() : gradient);
      }
    }
    return sums;
  }

  private StartValues along(Lora method, LinearSite layer, Matrix gradient) {
    int r = method.rankOf(layer.path());
    if (2 * r > Math.min(gradient.rows(), gradient.columns())) {
      throw new PeftException(
          "init lora_ga needs twice the rank in every layer; '%s' has %d to %d and rank %d"
              .formatted(layer.path(), gradient.columns(), gradient.rows(), r));
    }
    Svd svd = Svd.of(gradient);
    double size = Math.pow(gradient.rows(), 0.25) / Math.sqrt(GAMMA);
    Matrix stored = Matrix.of(adapter.base().initializer(layer.weight()));
    return StartValues.leaving(
        layer.inFirst() ? stored.transposed() : stored,
        svd.vTransposed().rows(0, r).scaled(size),
        svd.u().columns(r, 2 * r).scaled(size),
        method.scale(layer.path()));
  }

  /** The adapter anew with these starts; what they do not touch, nor ranks, stays as it is. */
  private AttachedAdapter attached(Lora method, Map<String, StartValues> starts) {
    AttachedAdapter fresh = method.attach(adapter.base(), adapter.name(), probe.seed(), starts);
    GraphEditor editor = fresh.graph().edit();
    for (AdapterTensor tensor : fresh.tensors()) {
      Tensor before = adapter.graph().initializers().get(tensor.initializer());
      Tensor after = fresh.graph().initializer(tensor.initializer());
      boolean trains = fresh.graph().trainable().contains(tensor.initializer());
      boolean fits = before != null && Arrays.equals(before.shape(), after.shape());
      if (before != null && fits && trains && !starts.containsKey(tensor.module())) {
        editor.initializer(tensor.initializer(), before);
      }
    }
    return fresh.withGraph(editor.build());
  }
}

package io.peft4j;

import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.DataProbe;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.OutputDifference;
import io.peft4j.engine.ProbeInputs;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.format.AdapterFormat;
import io.peft4j.format.AdapterFormat.StoredAdapter;
import io.peft4j.format.AdapterFormat.StoredHead;
import io.peft4j.format.Checkpoint;
import io.peft4j.format.Formats;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.task.PooledHead;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** A model with an adapter. Training changes the values of what trains; all else stays. */
public final class AdaptedModel {
  private final PretrainedModel base;
  private StoredAdapter stored;

  AdaptedModel(PretrainedModel base, StoredAdapter stored) {
    this.base = base;
    this.stored = stored;
  }

  /** The model without the adapter. */
  public PretrainedModel base() {
    return base;
  }

  /** The adapter, its graph with present values. */
  public AttachedAdapter adapter() {
    return stored.adapter();
  }

  /** The model with adapter and head, with present values. */
  public Graph graph() {
    return stored.adapter().graph();
  }

  /** Lets the method choose its start by some data, where that is its way. */
  public void start(DataProbe probe) {
    AttachedAdapter adapter = adapter();
    stored = stored.withAdapter(adapter.method().started(adapter, probe), head());
  }

  /** By how much single parameters learn faster than a recipe says, by initializer. */
  public Map<String, Double> learningRateFactors() {
    AttachedAdapter adapter = adapter();
    Map<String, Double> factors = new LinkedHashMap<>();
    for (AdapterTensor tensor : adapter.tensors()) {
      double factor = adapter.method().learningRateFactor(tensor, graph());
      if (factor != 1 && graph().trainable().contains(tensor.initializer())) {
        factors.put(tensor.initializer(), factor);
      }
    }
    return factors;
  }

  /** The classes in order; empty if they are not known. */
  public List<String> labels() {
    return stored.labels();
  }

  /** The head that was added; null if the model has its own or none. */
  public @Nullable PooledHead head() {
    StoredHead head = stored.head();
    return head == null ? null : head.head();
  }

  /** Notes something about how the adapter was made; it is saved with it. */
  public void note(String key, String value) {
    stored = stored.withNote(key, value);
  }

  /**
   * Adds a classification head, on the adapted model and on its base alike.
   *
   * @param labels the classes in order
   */
  public void addHead(PooledHead head, List<String> labels, long seed) {
    AttachedAdapter adapter = stored.adapter();
    AttachedAdapter withHead =
        new AttachedAdapter(
            adapter.name(),
            adapter.method(),
            head.attach(adapter.base(), seed),
            head.attach(adapter.graph(), seed),
            adapter.tensors(),
            adapter.targets());
    stored = stored.withAdapter(withHead, head).withLabels(labels);
  }

  /** Names the classes of a model that has its own head. */
  public void nameLabels(List<String> labels) {
    stored = stored.withLabels(labels);
  }

  /** Puts new values in place of the present ones, by initializer. */
  public void update(Map<String, Tensor> values) {
    GraphEditor editor = graph().edit();
    values.forEach(editor::initializer);
    stored = stored.withAdapter(stored.adapter().withGraph(editor.build()), head());
  }

  /** Writes the adapter folder, with the head beside it if one was added; whole or not at all. */
  public void save(Path folder) {
    Path source = base.checkpoint().source().getFileName();
    format().write(stored, source == null ? "" : source.toString(), folder);
  }

  /**
   * The same model with its adapter in another form, for example with fewer modules; it is saved
   * with a new configuration.
   */
  public AdaptedModel with(AttachedAdapter adapter) {
    StoredAdapter fresh =
        new StoredAdapter(adapter, "", stored.head(), stored.labels(), stored.provenance());
    return new AdaptedModel(base, fresh.withAdapter(adapter, head()));
  }

  /** As {@link #with}, in place: training calls it when a method has changed its form. */
  public void become(AttachedAdapter adapter) {
    stored = with(adapter).stored;
  }

  /** The key under which {@link #save} writes a tensor of the adapter. */
  public String key(AdapterTensor tensor) {
    return format().key(stored, tensor);
  }

  private AdapterFormat format() {
    return Formats.adapterWriter(f -> f.writes(stored.adapter()), stored.adapter().method().name());
  }

  /** Merges, with the tolerance that suits the weights' types: 1e-4, or 2e-2 for 16-bit weights. */
  public MergedModel merge() {
    return merge(OutputDifference.tolerance(base.graph()));
  }

  /**
   * Folds the adapter into the weights and compares the outputs of adapted and merged model on a
   * probe batch.
   *
   * @param tolerance the largest difference to accept
   * @throws PeftException if the difference is larger, or the method cannot be merged
   */
  public MergedModel merge(double tolerance) {
    Graph merged = mergedGraph();
    Map<String, Tensor> probe = ProbeInputs.of(graph());
    double difference = OutputDifference.largest(outputs(graph(), probe), outputs(merged, probe));
    if (!(difference <= tolerance)) {
      throw new PeftException(
          "the merged model differs from the adapted one by %.3g, more than the tolerance %.3g; the weights' type may be too narrow for this adapter: raise the tolerance or keep the adapter apart"
              .formatted(difference, tolerance));
    }
    return new MergedModel(
        new PretrainedModel(base.checkpoint().withGraph(merged).withLabels(labels())),
        labels(),
        difference);
  }

  /** The model with adapter and head as nodes like its own; nothing is folded into weights. */
  public PretrainedModel unmerged() {
    Graph whole = withNotes(graph().edit());
    return new PretrainedModel(base.checkpoint().withGraph(whole).withLabels(labels()));
  }

  private Graph mergedGraph() {
    GraphEditor editor = stored.adapter().method().merge(stored.adapter()).edit();
    graph()
        .tags()
        .forEach(
            (key, tag) -> {
              if (tag.equals(PooledHead.TAG)) {
                editor.initializer(key, graph().initializer(key));
              }
            });
    return withNotes(editor);
  }

  private Graph withNotes(GraphEditor editor) {
    if (!stored.provenance().isEmpty()) {
      editor.metadata(Checkpoint.PROVENANCE_KEY, Checkpoint.text(stored.provenance()));
    }
    if (!labels().isEmpty()) {
      editor.metadata(Checkpoint.LABELS_KEY, Checkpoint.text(labels()));
    }
    return editor.freezeAll().untag().build();
  }

  private static Map<String, Tensor> outputs(Graph graph, Map<String, Tensor> inputs) {
    try (TorchProgram program = TorchEngine.compile(graph, CompileOptions.evaluation())) {
      return program.run(inputs);
    }
  }
}

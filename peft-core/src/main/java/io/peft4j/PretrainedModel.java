package io.peft4j;

import io.peft4j.adapter.AdapterMethod;
import io.peft4j.data.TextTokenizer;
import io.peft4j.data.TextTokenizers;
import io.peft4j.format.AdapterFormat.StoredAdapter;
import io.peft4j.format.Checkpoint;
import io.peft4j.format.Formats;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Value;
import io.peft4j.graph.passes.DequantizedWeights;
import io.peft4j.site.Sites;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/** A model without an adapter. Immutable; attaching and merging give other models. */
public final class PretrainedModel {
  /** The name of an adapter that no other is given, as in PEFT. */
  public static final String DEFAULT_ADAPTER = "default";

  /** More than the special tokens that a tokenizer keeps at the end of a text that it cuts. */
  private static final int ENDING = 8;

  private final Checkpoint checkpoint;

  /** A model that a format has read. */
  public PretrainedModel(Checkpoint checkpoint) {
    this.checkpoint = checkpoint;
  }

  /** A model that was built rather than read; it is saved as ONNX. */
  public static PretrainedModel of(Graph graph) {
    return new PretrainedModel(
        new Checkpoint(Path.of(graph.name() + ".onnx"), "onnx", graph, "", List.of()));
  }

  public Graph graph() {
    return checkpoint.graph();
  }

  /** What the format read. */
  public Checkpoint checkpoint() {
    return checkpoint;
  }

  /** The places where adapters can attach. */
  public Sites sites() {
    return Sites.of(graph());
  }

  /** Whether the model has an output of class scores. */
  public boolean hasLogits() {
    return graph().outputs().stream().map(Value::name).anyMatch("logits"::equals);
  }

  /**
   * The same model with float weights in the place of quantised ones. An adapter belongs to these
   * weights, and they are what its provenance names.
   */
  public PretrainedModel dequantized() {
    return new PretrainedModel(checkpoint.withGraph(DequantizedWeights.fold(graph())));
  }

  /** Attaches an adapter, its start values drawn with seed 0. */
  public AdaptedModel attach(AdapterMethod method) {
    return attach(method, 0);
  }

  /**
   * Attaches an adapter.
   *
   * @throws PeftException if the targets match nothing, or something that the method cannot take
   */
  public AdaptedModel attach(AdapterMethod method, long seed) {
    PretrainedModel base = dequantized();
    return new AdaptedModel(
        base,
        new StoredAdapter(
            method.tokenized(this::firstIds).attach(base.graph(), DEFAULT_ADAPTER, seed),
            "",
            null,
            checkpoint.labels(),
            Map.of()));
  }

  /**
   * Attaches an adapter from its folder, and the head that lies beside it if there is one.
   *
   * @throws CheckpointFormatException if the folder's files are damaged or do not fit the model
   */
  public AdaptedModel load(Path adapterFolder) {
    PretrainedModel base = dequantized();
    return new AdaptedModel(base, Formats.adapter(adapterFolder).read(adapterFolder, base.graph()));
  }

  /** The first ids of a text, as if it had not been cut. */
  private long[] firstIds(String text, int count) {
    try (TextTokenizer tokenizer = tokenizer(count + ENDING)) {
      return Arrays.stream(tokenizer.encode(text, null).ids()).limit(count).toArray();
    }
  }

  /**
   * Opens the tokenizer that lies beside the model.
   *
   * @param maxLength tokens at most, special ones included
   */
  public TextTokenizer tokenizer(int maxLength) {
    return TextTokenizers.open(TextTokenizers.file(checkpoint.source()), maxLength);
  }

  /**
   * Writes the model, whole or not at all: as ONNX if the path ends in {@code .onnx}, else in the
   * format it was read from.
   *
   * @throws UnsupportedModelException if the format cannot express the model
   */
  public void save(Path target) {
    String format = target.toString().endsWith(".onnx") ? "onnx" : checkpoint.format();
    Formats.modelNamed(format).write(checkpoint, graph(), target);
  }
}

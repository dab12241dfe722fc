package io.peft4j.adapters.peft;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.peft4j.CheckpointFormatException;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.format.AdapterFormat.StoredAdapter;
import io.peft4j.format.AdapterFormat.StoredHead;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import io.peft4j.task.PooledHead;
import io.peft4j.task.Pooling;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** What peft4j keeps beside an adapter: head, labels and provenance. */
public final class HeadFiles {
  private static final String NOTES = "peft4j.json";
  private static final String HEAD = "head.safetensors";

  private HeadFiles() {}

  /** The head, if there is one, the classes, and what made the adapter. */
  public record Head(
      @Nullable StoredHead stored, List<String> labels, Map<String, String> provenance) {}

  /** What lies in a folder; null if peft4j did not write it. */
  public static @Nullable Head read(Path folder) {
    Path file = folder.resolve(NOTES);
    if (!Files.isRegularFile(file)) {
      return null;
    }
    JsonNode notes = notes(file);
    List<String> labels = new ArrayList<>();
    notes.path("labels").forEach(label -> labels.add(label.asText()));
    Map<String, String> provenance = new LinkedHashMap<>();
    notes
        .path("provenance")
        .properties()
        .forEach(note -> provenance.put(note.getKey(), note.getValue().asText()));
    JsonNode head = notes.path("head");
    if (head.isMissingNode()) {
      return new Head(null, labels, provenance);
    }
    Map<String, Tensor> tensors = SafeTensors.read(folder.resolve(HEAD)).tensors();
    Tensor weight = tensors.get(PooledHead.WEIGHT);
    Tensor bias = tensors.get(PooledHead.BIAS);
    if (weight == null || bias == null || weight.rank() != 2 || bias.size() != labels.size()) {
      throw new CheckpointFormatException(
          "%s does not hold classifier.weight and classifier.bias for the %d labels of %s; copy the whole folder"
              .formatted(folder.resolve(HEAD), labels.size(), NOTES));
    }
    Pooling pooling;
    try {
      pooling = Pooling.valueOf(head.path("pooling").asText().toUpperCase(Locale.ROOT));
    } catch (IllegalArgumentException e) {
      throw new CheckpointFormatException(
          file + ": field 'head.pooling' must be mean or cls, was " + head.path("pooling"), e);
    }
    PooledHead form = new PooledHead(pooling, labels.size(), head.path("dropout").asDouble(0));
    return new Head(new StoredHead(form, weight, bias), labels, provenance);
  }

  private static JsonNode notes(Path file) {
    try {
      return PeftConfig.JSON.readTree(Files.readString(file, UTF_8));
    } catch (JsonProcessingException e) {
      throw new CheckpointFormatException(
          file + " is no valid JSON; save the adapter again, or remove it to use the adapter alone",
          e);
    } catch (IOException e) {
      throw new CheckpointFormatException(file + " cannot be read: " + e.getMessage(), e);
    }
  }

  /** The adapter with a head, on the adapted model and on its base alike. */
  public static AttachedAdapter attach(AttachedAdapter adapter, @Nullable StoredHead head) {
    return head == null
        ? adapter
        : new AttachedAdapter(
            adapter.name(),
            adapter.method(),
            attach(adapter.base(), head),
            attach(adapter.graph(), head),
            adapter.tensors(),
            adapter.targets());
  }

  /** The graph with a stored head on it. */
  private static Graph attach(Graph base, StoredHead head) {
    GraphEditor editor = head.head().attach(base, 0).edit();
    Tensor start = editor.initializer(PooledHead.WEIGHT);
    if (start != null && start.dim(1) != head.weight().dim(1)) {
      throw new CheckpointFormatException(
          "%s is made for %d features, but this model has %d; is this the adapter's base model?"
              .formatted(HEAD, head.weight().dim(1), start.dim(1)));
    }
    return editor
        .initializer(PooledHead.WEIGHT, head.weight())
        .initializer(PooledHead.BIAS, head.bias())
        .build();
  }

  /** Writes head, labels and provenance; nothing if there is nothing to tell. */
  public static void write(Path folder, StoredAdapter stored) throws IOException {
    write(folder, new Head(stored.head(), stored.labels(), stored.provenance()));
  }

  static void write(Path folder, Head all) throws IOException {
    StoredHead head = all.stored();
    if (head == null && all.provenance().isEmpty() && all.labels().isEmpty()) {
      return;
    }
    ObjectNode notes = PeftConfig.JSON.createObjectNode();
    if (head != null) {
      notes
          .putObject("head")
          .put("pooling", head.head().pooling().name().toLowerCase(Locale.ROOT))
          .put("dropout", head.head().dropout());
      SafeTensors.write(
          folder.resolve(HEAD),
          Map.of(PooledHead.WEIGHT, head.weight(), PooledHead.BIAS, head.bias()),
          Map.of("format", "pt"));
    }
    all.labels().forEach(notes.putArray("labels")::add);
    ObjectNode origin = notes.putObject("provenance");
    all.provenance().forEach(origin::put);
    Files.writeString(folder.resolve(NOTES), notes.toPrettyString() + "\n", UTF_8);
  }
}

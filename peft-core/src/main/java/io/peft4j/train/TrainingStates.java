package io.peft4j.train;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.google.common.collect.Maps;
import com.google.common.io.MoreFiles;
import com.google.common.io.RecursiveDeleteOption;
import io.peft4j.CheckpointFormatException;
import io.peft4j.PeftException;
import io.peft4j.format.AtomicWrite;
import io.peft4j.format.Formats;
import io.peft4j.format.TensorFiles;
import io.peft4j.graph.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * The states of one training in a folder. Each is a folder of its own, {@code step-000000120},
 * which appears whole: {@code state.json}, {@code values.safetensors}, {@code moments.safetensors}
 * and, from the end of the first epoch on, {@code best.safetensors}. Only the newest is kept.
 */
final class TrainingStates {
  private static final String VALUES = "values.safetensors";
  private static final String MOMENTS = "moments.safetensors";
  private static final String BEST = "best.safetensors";
  private static final String STATE = "state.json";

  private static final ObjectMapper JSON =
      new ObjectMapper()
          .enable(SerializationFeature.INDENT_OUTPUT)
          .enable(DeserializationFeature.FAIL_ON_MISSING_CREATOR_PROPERTIES)
          .enable(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES);

  private record StateFile(
      JsonNode run, Progress progress, double seconds, Map<String, Integer> optimizerSteps) {}

  private final Path folder;
  private final RunIdentity run;
  private final TensorFiles tensors = Formats.tensorFiles();

  TrainingStates(Path folder, RunIdentity run) {
    this.folder = folder;
    this.run = run;
  }

  /** Writes a state and removes older ones. */
  void write(TrainingState state) {
    Path target = folder.resolve("step-%09d".formatted(state.progress().step()));
    AtomicWrite.folder(
        target,
        temporary -> {
          StateFile file =
              new StateFile(
                  JSON.valueToTree(run),
                  state.progress(),
                  state.seconds(),
                  state.optimizer().steps());
          JSON.writeValue(temporary.resolve(STATE).toFile(), file);
          tensors.write(temporary.resolve(VALUES), state.values());
          tensors.write(temporary.resolve(MOMENTS), state.optimizer().moments());
          if (!state.best().isEmpty()) {
            tensors.write(temporary.resolve(BEST), state.best());
          }
        });
    try {
      for (Path other : in(folder)) {
        if (!other.equals(target)) {
          MoreFiles.deleteRecursively(other, RecursiveDeleteOption.ALLOW_INSECURE);
        }
      }
    } catch (IOException e) {
      throw new PeftException("cannot remove old training states in " + folder + ": " + e, e);
    }
  }

  /** The states in a folder, the newest last. */
  static List<Path> in(Path folder) throws IOException {
    if (!Files.isDirectory(folder)) {
      return List.of();
    }
    try (Stream<Path> entries = Files.list(folder)) {
      return entries
          .filter(p -> p.getFileName().toString().matches("step-\\d{9}"))
          .sorted(Comparator.comparing(p -> p.getFileName().toString()))
          .toList();
    }
  }

  /**
   * Reads the newest state.
   *
   * @param parameters what trains, with any values
   * @param optimised the names of those that the optimiser changes
   * @throws PeftException if there is none, it is of another training, or damaged
   */
  TrainingState newest(Map<String, Tensor> parameters, Set<String> optimised) {
    try {
      List<Path> states = in(folder);
      if (states.isEmpty()) {
        throw new PeftException(
            "there is no training state in " + folder + " to resume; start without resuming");
      }
      return read(states.get(states.size() - 1), parameters, optimised);
    } catch (JsonProcessingException e) {
      throw new CheckpointFormatException(
          "the training state in %s is damaged: %s; start without resuming"
              .formatted(folder, e.getOriginalMessage()),
          e);
    } catch (IOException e) {
      throw new PeftException("cannot read the training state in " + folder + ": " + e, e);
    }
  }

  private TrainingState read(Path state, Map<String, Tensor> parameters, Set<String> optimised)
      throws IOException {
    JsonNode tree = JSON.readTree(state.resolve(STATE).toFile());
    checkSame(state, "", tree.path("run"), JSON.readTree(JSON.writeValueAsBytes(run)));
    StateFile file = JSON.treeToValue(tree, StateFile.class);
    boolean anyEpoch = !file.progress().epochs().isEmpty();
    return new TrainingState(
        file.progress(),
        file.seconds(),
        tensors(state.resolve(VALUES), parameters),
        new AdamW.State(
            tensors(
                state.resolve(MOMENTS),
                AdamW.State.shapes(Maps.filterKeys(parameters, optimised::contains))),
            file.optimizerSteps()),
        anyEpoch ? tensors(state.resolve(BEST), parameters) : Map.of());
  }

  /** The tensors of a file, which must be of the names, types and shapes of others. */
  private Map<String, Tensor> tensors(Path file, Map<String, Tensor> like) {
    Map<String, Tensor> found = tensors.read(file);
    boolean fits =
        found.keySet().equals(like.keySet())
            && found.entrySet().stream().allMatch(e -> fits(e.getValue(), like.get(e.getKey())));
    if (!fits) {
      throw new CheckpointFormatException(
          file + ": holds other tensors than those that train; start without resuming");
    }
    return found;
  }

  private static boolean fits(Tensor tensor, @Nullable Tensor like) {
    return like != null
        && tensor.dtype() == like.dtype()
        && Arrays.equals(tensor.shape(), like.shape());
  }

  private static void checkSame(Path state, String field, JsonNode written, JsonNode now) {
    if (now.isObject()) {
      for (Iterator<String> names = now.fieldNames(); names.hasNext(); ) {
        String name = names.next();
        String path = field.isEmpty() ? name : field + "." + name;
        checkSame(state, path, written.path(name), now.path(name));
      }
    } else if (!written.equals(now)) {
      throw new PeftException(
          "%s was written by another training: its %s is %s, now it is %s; resume with what it was started with, or start without resuming"
              .formatted(state, field, written.isMissingNode() ? "not noted" : written, now));
    }
  }
}

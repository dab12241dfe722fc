package io.peft4j;

import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.format.Formats;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Several adapters of one model, by name, of any methods: run with one of them, or each row of a
 * batch with its own. Rows of one adapter are run together, so that a row's result is that of the
 * adapter alone. What an adapter needs to run is made on its first use and kept until closed.
 */
public final class AdapterSet implements AutoCloseable {
  /** The name that means no adapter, as in PEFT. */
  public static final String BASE = "__base__";

  private final Map<String, Graph> graphs = new LinkedHashMap<>();
  private final Map<String, TorchProgram> programs = new LinkedHashMap<>();

  private AdapterSet(PretrainedModel base, Map<String, AdaptedModel> adapters) {
    graphs.put(BASE, base.dequantized().graph());
    adapters.forEach((name, adapted) -> graphs.put(name, adapted.graph()));
  }

  /**
   * Adapters that are loaded already, as they are at this moment.
   *
   * @throws PeftException if one has the name {@link #BASE}
   */
  public static AdapterSet of(PretrainedModel base, Map<String, AdaptedModel> adapters) {
    if (adapters.containsKey(BASE)) {
      throw new PeftException("the name " + BASE + " means no adapter; give another");
    }
    return new AdapterSet(base, adapters);
  }

  /**
   * The adapters of a folder as PEFT saves several: the default one in the folder itself, each
   * other in a sub-folder of its name.
   *
   * @throws PeftException if there is none
   * @throws CheckpointFormatException if one is damaged or does not fit the model
   */
  public static AdapterSet load(PretrainedModel base, Path folder) {
    Map<String, AdaptedModel> adapters = new LinkedHashMap<>();
    if (Formats.holdsAdapter(folder)) {
      adapters.put(PretrainedModel.DEFAULT_ADAPTER, base.load(folder));
    }
    for (Path sub : Formats.adaptersIn(folder)) {
      adapters.put(String.valueOf(sub.getFileName()), base.load(sub));
    }
    if (adapters.isEmpty()) {
      throw new PeftException(
          "neither " + folder + " nor a folder in it holds an adapter; check the path");
    }
    return of(base, adapters);
  }

  /** The adapters' names, without {@link #BASE}. */
  public Set<String> names() {
    List<String> names = new ArrayList<>(graphs.keySet());
    names.remove(BASE);
    return Collections.unmodifiableSet(new LinkedHashSet<>(names));
  }

  /**
   * Runs a batch with one adapter.
   *
   * @param name of the adapter, or {@link #BASE}
   */
  public Map<String, Tensor> run(Map<String, Tensor> inputs, String name) {
    return program(name).run(inputs);
  }

  /**
   * Runs a batch, each row with its own adapter.
   *
   * @param inputs whose first axis counts the rows
   * @param names of the adapter of each row, or {@link #BASE}
   * @return outputs, rows in the order of the inputs
   * @throws PeftException if there are not as many names as rows, one is not known, or outputs of
   *     different adapters differ in shape
   */
  public Map<String, Tensor> run(Map<String, Tensor> inputs, List<String> names) {
    inputs.forEach(
        (input, tensor) -> {
          if (tensor.rank() == 0 || tensor.dim(0) != names.size()) {
            throw new PeftException(
                "input '%s' is %s, but %d rows were given an adapter; the first axis counts the rows"
                    .formatted(input, tensor, names.size()));
          }
        });
    Map<String, List<Integer>> groups = new LinkedHashMap<>();
    for (int row = 0; row < names.size(); row++) {
      groups.computeIfAbsent(names.get(row), name -> new ArrayList<>()).add(row);
    }
    groups.keySet().forEach(this::graph);
    Map<String, Tensor[]> rows = new LinkedHashMap<>();
    groups.forEach(
        (name, members) -> {
          int[] chosen = members.stream().mapToInt(row -> row).toArray();
          Map<String, Tensor> part = new LinkedHashMap<>();
          inputs.forEach((input, tensor) -> part.put(input, tensor.selected(0, chosen)));
          run(part, name)
              .forEach(
                  (output, tensor) -> {
                    Tensor[] all = rows.computeIfAbsent(output, key -> new Tensor[names.size()]);
                    requireRows(output, tensor, chosen.length);
                    for (int i = 0; i < chosen.length; i++) {
                      all[chosen[i]] = tensor.selected(0, i);
                    }
                  });
        });
    Map<String, Tensor> outputs = new LinkedHashMap<>();
    rows.forEach((output, all) -> outputs.put(output, joined(output, all)));
    return outputs;
  }

  private static void requireRows(String output, Tensor tensor, int rows) {
    if (tensor.rank() == 0 || tensor.dim(0) != rows) {
      throw new PeftException(
          "output '%s' is %s and has no row for each of the %d inputs, so that adapters cannot be mixed"
              .formatted(output, tensor, rows));
    }
  }

  private static Tensor joined(String output, @Nullable Tensor... rows) {
    Tensor first = rows[0];
    if (first == null) {
      throw missing(output);
    }
    ByteBuffer data = Tensor.allocate(first.dtype().bytes(first.size()) * rows.length);
    for (Tensor row : rows) {
      if (row == null) {
        throw missing(output);
      }
      if (row.dtype() != first.dtype() || !Arrays.equals(row.shape(), first.shape())) {
        throw new PeftException(
            "output '%s' is %s of one adapter and %s of another, so that their rows do not make one batch"
                .formatted(output, first, row));
      }
      data.put(row.data().duplicate());
    }
    long[] shape = first.shape();
    shape[0] = rows.length;
    return Tensor.of(first.dtype(), shape, data.flip());
  }

  private static PeftException missing(String output) {
    return new PeftException("output '" + output + "' is not one of every adapter's");
  }

  private Graph graph(String name) {
    Graph graph = graphs.get(name);
    if (graph == null) {
      throw new PeftException(
          "there is no adapter '%s'; known are %s".formatted(name, graphs.keySet()));
    }
    return graph;
  }

  private TorchProgram program(String name) {
    Graph graph = graph(name);
    return programs.computeIfAbsent(
        name, key -> TorchEngine.compile(graph, CompileOptions.evaluation()));
  }

  @Override
  public void close() {
    programs.values().forEach(TorchProgram::close);
    programs.clear();
  }
}

package io.peft4j.adapters.onnxruntime;

import io.peft4j.AdaptedModel;
import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.UnsupportedModelException;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.lora.BiasTraining;
import io.peft4j.adapters.lora.Lora;
import io.peft4j.format.AtomicWrite;
import io.peft4j.format.Formats;
import io.peft4j.graph.DType;
import io.peft4j.graph.Dim;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.site.Sites;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Several adapters of one model for ONNX Runtime: a model that has the factors A [rank, in] and B
 * [out, rank] of every adapted layer as optional inputs, of rank 0 where none are given, so that it
 * is the base model then; and for each adapter a file that gives them. The scale is in B.
 */
public final class SwitchableLora {
  private static final String MODEL = "model.onnx";

  private final PretrainedModel base;
  private final Map<String, Map<String, Tensor>> parameters = new LinkedHashMap<>();
  private final Graph graph;

  private SwitchableLora(PretrainedModel base, Map<String, AdaptedModel> adapters) {
    this.base = base;
    Set<String> targets = new LinkedHashSet<>();
    Map<String, Value> whole = new LinkedHashMap<>();
    adapters.forEach(
        (name, adapted) -> {
          requirePlain(name, adapted);
          targets.addAll(adapted.adapter().targets());
          whole(adapted).forEach(whole::putIfAbsent);
        });
    AttachedAdapter frame =
        Lora.rank(1)
            .alpha(1)
            .on(Targets.named(List.copyOf(targets)))
            .attach(base.graph(), PretrainedModel.DEFAULT_ADAPTER, 0);
    graph = withOptionalFactors(frame, whole);
    adapters.forEach((name, adapted) -> parameters.put(name, parameters(adapted, frame)));
  }

  /**
   * Brings adapters together.
   *
   * @param base the model that all were loaded on
   * @param adapters by the names that their files get
   * @throws UnsupportedModelException if one is no plain LoRA on linear layers
   */
  public static SwitchableLora of(PretrainedModel base, Map<String, AdaptedModel> adapters) {
    if (adapters.isEmpty()) {
      throw new PeftException("no adapter is given; name at least one");
    }
    return new SwitchableLora(base.dequantized(), adapters);
  }

  private static void requirePlain(String name, AdaptedModel adapted) {
    if (!(adapted.adapter().method() instanceof Lora lora)) {
      throw new UnsupportedModelException(
          "adapter '%s' is %s, but ONNX Runtime switches LoRA as PEFT has it; make it that with peft4j adapter convert --to peft or peft4j adapter extract"
              .formatted(name, adapted.adapter().method().name()));
    }
    boolean onLinears =
        adapted.adapter().targets().stream()
            .allMatch(path -> Sites.of(adapted.adapter().base()).linear(path).isPresent());
    String more =
        lora.dora()
            ? "use_dora"
            : lora.loraBias()
                ? "lora_bias"
                : lora.bias() != BiasTraining.NONE
                    ? "bias"
                    : !lora.trainableTokenIndices().isEmpty()
                        ? "trainable_token_indices"
                        : lora.init().leavesResidual()
                            ? "init_lora_weights"
                            : !onLinears
                                ? "a target that is no linear layer"
                                : adapted.head() != null ? "a head of its own" : "";
    if (!more.isEmpty()) {
      throw new UnsupportedModelException(
          "adapter '%s' has %s, which is not switched; export its merged model, or extract plain LoRA"
              .formatted(name, more));
    }
  }

  private static boolean isFactor(AdapterTensor tensor) {
    return tensor.parameter().startsWith("lora_");
  }

  /** Weights of the model that an adapter replaces. */
  private static Map<String, Value> whole(AdaptedModel adapted) {
    Map<String, Value> values = new LinkedHashMap<>();
    Graph model = adapted.adapter().base();
    for (AdapterTensor tensor : adapted.adapter().tensors()) {
      if (!isFactor(tensor)) {
        Tensor weight = model.initializer(tensor.initializer());
        Object[] sizes = Arrays.stream(weight.shape()).boxed().toArray();
        values.put(tensor.initializer(), Value.of(tensor.initializer(), weight.dtype(), sizes));
      }
    }
    return values;
  }

  private static Graph withOptionalFactors(AttachedAdapter frame, Map<String, Value> whole) {
    GraphEditor editor = frame.graph().edit().freezeAll().untag().forgetValues();
    for (AdapterTensor tensor : frame.tensors()) {
      Tensor start = frame.graph().initializer(tensor.initializer());
      Dim rank = Dim.of("rank_" + tensor.module());
      boolean down = tensor.parameter().startsWith("lora_A");
      long size = down ? start.dim(1) : start.dim(0);
      List<Dim> shape = down ? List.of(rank, Dim.of(size)) : List.of(Dim.of(size), rank);
      editor.input(new Value(tensor.initializer(), DType.FLOAT32, shape));
      editor.initializer(
          tensor.initializer(),
          down ? Tensor.zeros(DType.FLOAT32, 0, size) : Tensor.zeros(DType.FLOAT32, size, 0));
    }
    whole.values().forEach(editor::input);
    return editor.build();
  }

  private static Map<String, Tensor> parameters(AdaptedModel adapted, AttachedAdapter frame) {
    Lora lora = (Lora) adapted.adapter().method();
    Map<String, String> names = new LinkedHashMap<>();
    frame.tensors().forEach(t -> names.put(t.module() + "." + t.parameter(), t.initializer()));
    Map<String, Tensor> result = new LinkedHashMap<>();
    for (AdapterTensor tensor : adapted.adapter().tensors()) {
      Tensor value = adapted.graph().initializer(tensor.initializer());
      if (!isFactor(tensor)) {
        DType own = adapted.adapter().base().initializer(tensor.initializer()).dtype();
        result.put(tensor.initializer(), value.cast(own));
        continue;
      }
      String name = names.get(tensor.module() + "." + tensor.parameter());
      if (name == null) {
        throw new IllegalStateException("lost " + tensor);
      }
      boolean up = tensor.parameter().startsWith("lora_B");
      result.put(name, up ? scaled(value, lora.scale(tensor.module())) : value);
    }
    return result;
  }

  private static Tensor scaled(Tensor tensor, double scale) {
    double[] values = tensor.toDoubles();
    Arrays.setAll(values, i -> scale * values[i]);
    return Tensor.ofDoubles(tensor.shape(), values).cast(DType.FLOAT32);
  }

  /** The model; without further inputs it computes what the base does. */
  public Graph graph() {
    return graph;
  }

  /** The further inputs that an adapter gives. */
  public Map<String, Tensor> inputs(String adapter) {
    Map<String, Tensor> inputs = parameters.get(adapter);
    if (inputs == null) {
      throw new PeftException(
          "there is no adapter '%s'; known are %s".formatted(adapter, parameters.keySet()));
    }
    return Map.copyOf(inputs);
  }

  /**
   * Writes {@code model.onnx} and for each adapter {@code NAME.onnx_adapter}, all or nothing.
   *
   * @return the names of the files
   */
  public List<String> write(Path folder) {
    List<String> files = new ArrayList<>(List.of(MODEL));
    parameters.keySet().forEach(name -> files.add(name + ".onnx_adapter"));
    AtomicWrite.folder(
        folder,
        target -> {
          Formats.modelNamed("onnx").write(base.checkpoint(), graph, target.resolve(MODEL));
          for (Map.Entry<String, Map<String, Tensor>> adapter : parameters.entrySet()) {
            Files.write(
                target.resolve(adapter.getKey() + ".onnx_adapter"),
                OnnxAdapterFile.of(adapter.getValue()));
          }
        });
    return files;
  }
}

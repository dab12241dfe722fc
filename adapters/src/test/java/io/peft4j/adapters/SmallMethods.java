package io.peft4j.adapters;

import com.google.common.io.MoreFiles;
import com.google.common.io.RecursiveDeleteOption;
import io.peft4j.AdaptedModel;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.MethodRecipe;
import io.peft4j.adapter.MethodRecipes;
import io.peft4j.adapters.bottleneck.Bottleneck;
import io.peft4j.adapters.bottleneck.Reduction;
import io.peft4j.graph.Tensor;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** Every registered method, with settings that suit a model of 32 features. */
final class SmallMethods {
  /** Taken by each method that has the key. */
  private static final Map<String, Object> SIZES =
      Map.ofEntries(
          Map.entry("rank", 2),
          Map.entry("r", 2),
          Map.entry("dropout", 0.0),
          Map.entry("stochastic_depth", 0.0),
          Map.entry("reduction_factor", 8.0),
          Map.entry("phm_init_range", 0.1),
          Map.entry("block_size", 4),
          Map.entry("group_size", 4),
          Map.entry("frequencies", 16),
          Map.entry("vector_length", 8),
          Map.entry("num_vectors", 8),
          Map.entry("virtual_tokens", 3),
          Map.entry("prompt_length", 3),
          Map.entry("prefix_length", 3),
          Map.entry("bottleneck_size", 8),
          Map.entry("selections", List.of("bias")),
          Map.entry("share", 0.1),
          Map.entry("adapters", saved()),
          Map.entry("token_indices", List.of(96, 67)));

  /** What a method needs otherwise. */
  private static final Map<String, Map<String, Object>> OWN =
      Map.of(
          "gralora", Map.of("rank", 4),
          "supertuning", Map.of("sparsity", 0.9, "rank", 0),
          "hub-ia3", Map.of("r", 1),
          "trainable_tokens", Map.of("targets", List.of("word_embeddings")));

  private SmallMethods() {}

  /** Folders of two adapters on the model that methods are tried on. */
  private static List<String> saved() {
    try {
      Path folder = Files.createTempDirectory("adapters");
      List<String> saved = new ArrayList<>();
      for (String name : List.of("one", "two")) {
        Bottleneck method = Bottleneck.pfeiffer().optReduction(Reduction.of(8)).build();
        Path target = folder.resolve(name);
        moved(MethodCase.bert().attach(method, saved.size())).save(target);
        saved.add(target.toString());
      }
      Runtime.getRuntime().addShutdownHook(new Thread(() -> delete(folder)));
      return saved;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void delete(Path folder) {
    try {
      MoreFiles.deleteRecursively(folder, RecursiveDeleteOption.ALLOW_INSECURE);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static Stream<String> names() {
    return MethodRecipes.all().stream().map(MethodRecipe::method);
  }

  static AdapterMethod named(String name) {
    return with(name, Map.of());
  }

  /** The method with some settings in the place of the small ones. */
  static AdapterMethod with(String name, Map<String, Object> others) {
    MethodRecipe recipe = MethodRecipes.named(name);
    Map<String, @Nullable Object> settings = new LinkedHashMap<>(SIZES);
    settings.keySet().retainAll(recipe.keys());
    settings.putAll(OWN.getOrDefault(name, Map.of()));
    settings.putAll(others);
    return recipe.read(new MapSettings(settings));
  }

  /** Moves every trained value at random. */
  static AdaptedModel moved(AdaptedModel model) {
    Random random = new Random(11);
    Map<String, Tensor> values = new LinkedHashMap<>();
    for (String name : model.graph().trainable()) {
      float[] numbers = model.graph().initializer(name).toFloats();
      for (int i = 0; i < numbers.length; i++) {
        numbers[i] += 0.05f * (float) random.nextGaussian();
      }
      values.put(name, Tensor.ofFloats(model.graph().initializer(name).shape(), numbers));
    }
    model.update(values);
    return model;
  }
}

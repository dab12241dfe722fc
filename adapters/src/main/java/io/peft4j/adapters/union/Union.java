package io.peft4j.adapters.union;

import io.peft4j.RecipeException;
import io.peft4j.adapters.bottleneck.Bottleneck;
import io.peft4j.adapters.bottleneck.Reduction;
import io.peft4j.adapters.compose.Attachment;
import io.peft4j.adapters.compose.ComposableMethod;
import io.peft4j.adapters.hublora.HubLora;
import io.peft4j.adapters.prompt.HubPrefixTuning;
import java.util.Comparator;
import java.util.List;

/**
 * Several methods that are trained together under one name.
 *
 * @param name {@code mam}, {@code unipelt}, or {@code union} for any other
 * @param parts in the order in which files name them
 */
public record Union(String name, List<ComposableMethod> parts) implements ComposableMethod {
  public static final String NAME = "union";
  static final String MIX_AND_MATCH = "mam";
  static final String UNI_PELT = "unipelt";

  public Union {
    parts = List.copyOf(parts);
    if (parts.size() < 2) {
      throw new RecipeException(
          "a union needs at least two methods, was given %d".formatted(parts.size()));
    }
    for (int i = 0; i < parts.size(); i++) {
      if (parts.get(i) instanceof Union) {
        throw new RecipeException("a union must not hold another one; name all methods in one");
      }
      for (int j = 0; j < i; j++) {
        if (parts.get(i).getClass().equals(parts.get(j).getClass())
            && !areApart(parts.get(i), parts.get(j))) {
          throw new RecipeException(
              "a union must not hold two methods of one kind in the same places, %s here"
                  .formatted(parts.get(i).name()));
        }
      }
    }
  }

  private static boolean areApart(ComposableMethod one, ComposableMethod other) {
    return one instanceof Bottleneck a
        && other instanceof Bottleneck b
        && !(a.afterAttention() && b.afterAttention())
        && !(a.afterFeedForward() && b.afterFeedForward());
  }

  /** Prefix tuning and parallel bottlenecks: Mix-and-Match (He et al. 2021, arXiv 2110.04366). */
  public static Union mixAndMatch(HubPrefixTuning prefix, Bottleneck bottleneck) {
    return new Union(MIX_AND_MATCH, List.of(prefix, bottleneck));
  }

  /** As AdapterHub's {@code mam}. */
  public static Union mixAndMatch() {
    return mixAndMatch(HubPrefixTuning.length(30).bottleneck(800), Bottleneck.parallel().build());
  }

  /**
   * Prefix tuning, sequential bottlenecks and LoRA, each behind a gate: UniPELT (Mao et al. 2022,
   * arXiv 2110.07577).
   */
  public static Union uniPelt(HubPrefixTuning prefix, Bottleneck bottleneck, HubLora lora) {
    return new Union(
        UNI_PELT,
        List.of(
            prefix.gating(true),
            bottleneck.toBuilder().optGating(true).build(),
            lora.gating(true)));
  }

  /** As AdapterHub's {@code unipelt}. */
  public static Union uniPelt() {
    return uniPelt(
        HubPrefixTuning.length(10),
        Bottleneck.pfeiffer().optReduction(Reduction.of(16)).build(),
        HubLora.lora().alpha(2));
  }

  @Override
  public Depth depth() {
    return parts.stream().map(ComposableMethod::depth).min(Comparator.naturalOrder()).orElseThrow();
  }

  @Override
  public void add(Attachment at) {
    parts.stream()
        .sorted(Comparator.comparing(ComposableMethod::depth))
        .forEach(part -> part.add(at));
  }
}

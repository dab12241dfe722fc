package io.peft4j.adapters.union;

import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.MethodRecipe;
import io.peft4j.adapter.MethodSettings;
import io.peft4j.adapters.bottleneck.Bottleneck;
import io.peft4j.adapters.bottleneck.Reduction;
import io.peft4j.adapters.hublora.HubLora;
import io.peft4j.adapters.prompt.HubPrefixTuning;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Mix-and-Match and UniPELT in recipes, by their sizes. */
public final class UnionRecipes implements MethodRecipe {
  private static final List<String> SIZES =
      List.of("prefix_length", "bottleneck_size", "reduction_factor");

  private final boolean gated;

  /** For ServiceLoader. */
  public UnionRecipes() {
    this(false);
  }

  private UnionRecipes(boolean gated) {
    this.gated = gated;
  }

  @Override
  public List<MethodRecipe> variants() {
    return List.of(this, new UnionRecipes(true));
  }

  @Override
  public String method() {
    return gated ? Union.UNI_PELT : Union.MIX_AND_MATCH;
  }

  @Override
  public List<String> keys() {
    return gated ? List.of(SIZES.get(0), SIZES.get(1), SIZES.get(2), "r", "alpha") : SIZES;
  }

  @Override
  public AdapterMethod read(MethodSettings settings) {
    HubPrefixTuning prefix =
        HubPrefixTuning.length(settings.whole("prefix_length", gated ? 10 : 30))
            .bottleneck(settings.whole("bottleneck_size", gated ? 512 : 800));
    Reduction reduction = Reduction.of(settings.number("reduction_factor", gated ? 16 : 2));
    if (!gated) {
      return Union.mixAndMatch(prefix, Bottleneck.parallel().optReduction(reduction).build());
    }
    HubLora lora = HubLora.lora().rank(settings.whole("r", 8)).alpha(settings.number("alpha", 2));
    return Union.uniPelt(prefix, Bottleneck.pfeiffer().optReduction(reduction).build(), lora);
  }

  @Override
  public boolean describes(AdapterMethod method) {
    return method instanceof Union union && union.name().equals(method());
  }

  @Override
  public Map<String, @Nullable Object> write(AdapterMethod method) {
    List<?> parts = ((Union) method).parts();
    HubPrefixTuning prefix = (HubPrefixTuning) parts.get(0);
    Map<String, @Nullable Object> settings = new LinkedHashMap<>();
    settings.put("prefix_length", prefix.length());
    settings.put("bottleneck_size", prefix.bottleneck());
    settings.put("reduction_factor", ((Bottleneck) parts.get(1)).reduction().usual());
    if (gated) {
      HubLora lora = (HubLora) parts.get(2);
      settings.put("r", lora.rank());
      settings.put("alpha", lora.alpha());
    }
    return settings;
  }
}

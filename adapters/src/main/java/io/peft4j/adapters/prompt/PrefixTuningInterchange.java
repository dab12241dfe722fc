package io.peft4j.adapters.prompt;

import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AttachedAdapter;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Prefix tuning in recipes, and as PEFT's configuration says it. */
public final class PrefixTuningInterchange extends PromptInterchange {
  /** For ServiceLoader. */
  public PrefixTuningInterchange() {}

  @Override
  public String peftType() {
    return "PREFIX_TUNING";
  }

  @Override
  public boolean describes(AdapterMethod method) {
    return method instanceof PrefixTuning;
  }

  @Override
  AdapterMethod method(int tokens, List<String> saved) {
    return new PrefixTuning(tokens, saved);
  }

  @Override
  int tokens(AdapterMethod method) {
    return ((PrefixTuning) method).virtualTokens();
  }

  @Override
  List<String> saved(AdapterMethod method) {
    return ((PrefixTuning) method).modulesToSave();
  }

  @Override
  void addFields(AttachedAdapter adapter, Map<String, @Nullable Object> fields) {
    fields.put("prefix_projection", false);
  }
}

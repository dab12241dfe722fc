package io.peft4j.adapters.psoft;

import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapters.peft.PeftConfig;
import io.peft4j.adapters.peft.RecordInterchange;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** PSOFT in recipes, and as PEFT's configuration says it. */
public final class PsoftInterchange extends RecordInterchange<Psoft> {
  /** For ServiceLoader. */
  public PsoftInterchange() {
    super(
        "PSOFT",
        Psoft.rank(32),
        Psoft.rank(32),
        Map.of(
            "rank",
            "r",
            "alpha",
            "psoft_alpha",
            "dropout",
            "psoft_dropout",
            "orthogonal",
            "psoft_orth",
            "scaleInputs",
            "psoft_mag_a",
            "scaleOutputs",
            "psoft_mag_b"));
  }

  @Override
  public AdapterMethod read(PeftConfig config, String modelType) {
    config.refuse("ab_svd_init", "psoft_init");
    config.refuse("psoft_svd", "full");
    config.refuse("cayley_neumann_eps");
    return super.read(config, modelType);
  }

  @Override
  protected Map<String, @Nullable Object> furtherFields() {
    return Map.of(
        "fan_in_fan_out",
        false,
        "init_weights",
        true,
        "ab_svd_init",
        "psoft_init",
        "psoft_svd",
        "full",
        "psoft_svd_lowrank_niter",
        10,
        "random_seed",
        0);
  }
}

package io.peft4j.adapters.bottleneck;

import static io.peft4j.adapters.adapterhub.AdapterHubInterchange.unsupported;

import io.peft4j.CheckpointFormatException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapters.adapterhub.PresetInterchange;
import io.peft4j.adapters.compose.ComposableMethod;
import io.peft4j.adapters.peft.PeftConfig;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** Bottleneck adapters as {@code BnConfig} of AdapterHub says it. */
public final class BottleneckInterchange extends PresetInterchange {
  /** For ServiceLoader. */
  public BottleneckInterchange() {
    super(presets());
  }

  private static Map<String, ComposableMethod> presets() {
    Map<String, Bottleneck.Builder> builders = new LinkedHashMap<>();
    Coupling coupling = Coupling.nice(2);
    builders.put(Bottleneck.NAME, Bottleneck.pfeiffer());
    builders.put("pfeiffer", Bottleneck.pfeiffer());
    builders.put("seq_bn", Bottleneck.pfeiffer());
    builders.put("seq_bn_inv", Bottleneck.pfeiffer().optCoupling(coupling));
    builders.put("houlsby", Bottleneck.houlsby());
    builders.put("double_seq_bn", Bottleneck.houlsby());
    builders.put("double_seq_bn_inv", Bottleneck.houlsby().optCoupling(coupling));
    builders.put("parallel", Bottleneck.parallel());
    builders.put("par_bn", Bottleneck.parallel());
    builders.put("scaled_par_bn", Bottleneck.scaledParallel());
    builders.put("adapterplus", Bottleneck.adapterPlus());
    builders.put("compacter", Bottleneck.compacter());
    builders.put("compacter++", Bottleneck.compacterPlusPlus());
    Map<String, ComposableMethod> presets = new LinkedHashMap<>();
    builders.forEach((name, builder) -> presets.put(name, builder.build()));
    return presets;
  }

  @Override
  public String architecture() {
    return "";
  }

  @Override
  public boolean writes(AdapterMethod method) {
    return method instanceof Bottleneck;
  }

  @Override
  public AdapterMethod read(PeftConfig config) {
    for (String key : new String[] {"mh_adapter", "output_adapter", "reduction_factor"}) {
      if (!config.has(key)) {
        throw new CheckpointFormatException(
            "%s lacks the field '%s', which a bottleneck adapter needs; save the adapter again"
                .formatted(config.file(), config.named(key)));
      }
    }
    if (config.flag("cross_adapter", false)) {
      throw unsupported(config, "cross_adapter", "models with cross attention are not supported");
    }
    return Bottleneck.pfeiffer()
        .optAfterAttention(config.flag("mh_adapter", false))
        .optAfterFeedForward(config.flag("output_adapter", true))
        .optReduction(reduction(config))
        .optNonLinearity(config.text("non_linearity", "relu"))
        .optNorms(norms(config))
        .optParallel(config.flag("is_parallel", false))
        .optScaling(scaling(config))
        .optGating(config.flag("use_gating", false))
        .optStart(start(config))
        .optDropout(config.number("dropout", 0))
        .optStochasticDepth(config.number("stochastic_depth", 0))
        .optLeaveOut(config.wholes("leave_out"))
        .optDropFirst(config.whole("drop_first", 0))
        .optPhm(phm(config))
        .optCoupling(coupling(config))
        .build();
  }

  private static Reduction reduction(PeftConfig config) {
    if (config.isNumber("reduction_factor")) {
      return Reduction.of(config.number("reduction_factor", 1));
    }
    Map<Integer, Double> layers = new TreeMap<>();
    Double usual = null;
    for (Map.Entry<String, Double> entry : config.numbers("reduction_factor").entrySet()) {
      if (entry.getKey().equals("default")) {
        usual = entry.getValue();
      } else if (entry.getKey().matches("\\d{1,9}")) {
        layers.put(Integer.valueOf(entry.getKey()), entry.getValue());
      } else {
        throw new CheckpointFormatException(
            "%s: field '%s' has the key '%s'; keys are layer numbers and 'default'"
                .formatted(config.file(), config.named("reduction_factor"), entry.getKey()));
      }
    }
    return new Reduction(usual, layers);
  }

  private static Norms norms(PeftConfig config) {
    boolean before = config.flag("original_ln_before", false);
    Norms.Residual residual;
    if (config.isText("residual_before_ln")) {
      if (!config.text("residual_before_ln", "").equals("post_add")) {
        throw unsupported(config, "residual_before_ln", "it may be true, false or \"post_add\"");
      }
      residual = Norms.Residual.SUM;
    } else {
      residual =
          config.flag("residual_before_ln", true) ? Norms.Residual.BLOCK : Norms.Residual.INPUT;
    }
    return new Norms(
        before,
        config.flag("original_ln_after", true),
        config.flag("ln_before", false),
        config.flag("ln_after", false),
        residual,
        config.flag("adapter_residual_before_ln", false));
  }

  private static Scaling scaling(PeftConfig config) {
    if (!config.isText("scaling")) {
      return new Scaling.Fixed(config.number("scaling", 1));
    }
    return switch (config.text("scaling", "")) {
      case "learned" -> new Scaling.Learned();
      case "channel" -> new Scaling.Channel();
      default ->
          throw unsupported(config, "scaling", "it may be a number, \"learned\" or \"channel\"");
    };
  }

  private static Start start(PeftConfig config) {
    return switch (config.text("init_weights", "bert")) {
      case "bert" -> Start.BERT;
      case "mam_adapter" -> Start.MAM_ADAPTER;
      case "houlsby" -> Start.HOULSBY;
      default ->
          throw unsupported(config, "init_weights", "it may be bert, mam_adapter or houlsby");
    };
  }

  private static @Nullable Phm phm(PeftConfig config) {
    if (!config.flag("phm_layer", false)) {
      return null;
    }
    return new Phm(
        config.whole("phm_dim", 4),
        config.flag("factorized_phm_W", true),
        config.flag("shared_W_phm", false),
        config.flag("shared_phm_rule", true),
        config.flag("factorized_phm_rule", false),
        config.flag("learn_phm", true),
        config.whole("phm_rank", 1),
        config.flag("phm_bias", true),
        config.text("phm_c_init", "normal"),
        config.number("phm_init_range", 1e-4),
        config.text("hypercomplex_nonlinearity", "glorot-uniform"));
  }

  private static @Nullable Coupling coupling(PeftConfig config) {
    PeftConfig old = config.object("invertible_adapter"); // as the library's first version had it
    if (old != null) {
      return coupling(old, "block_type", "reduction_factor");
    }
    return coupling(config, "inv_adapter", "inv_adapter_reduction_factor");
  }

  private static @Nullable Coupling coupling(PeftConfig config, String form, String factor) {
    double reduction = config.number(factor, 2);
    return switch (config.text(form, "")) {
      case "" -> null;
      case "nice" -> Coupling.nice(reduction);
      case "glow" -> Coupling.glow(reduction);
      default -> throw unsupported(config, form, "it may be null, nice or glow");
    };
  }

  @Override
  public Map<String, @Nullable Object> fields(AdapterMethod method) {
    Bottleneck bottleneck = (Bottleneck) method;
    Norms norms = bottleneck.norms();
    Coupling coupling = bottleneck.coupling();
    Map<String, @Nullable Object> fields = new LinkedHashMap<>();
    fields.put("mh_adapter", bottleneck.afterAttention());
    fields.put("output_adapter", bottleneck.afterFeedForward());
    fields.put("cross_adapter", false);
    fields.put("reduction_factor", reduction(bottleneck.reduction()));
    fields.put("non_linearity", bottleneck.nonLinearity());
    fields.put("original_ln_before", norms.originalBefore());
    fields.put("original_ln_after", norms.originalAfter());
    fields.put("ln_before", norms.before());
    fields.put("ln_after", norms.after());
    fields.put(
        "residual_before_ln",
        switch (norms.residual()) {
          case BLOCK -> true;
          case SUM -> "post_add";
          case INPUT -> false;
        });
    fields.put("adapter_residual_before_ln", norms.residualBeforeAfter());
    fields.put("is_parallel", bottleneck.isParallel());
    fields.put("scaling", scaling(bottleneck.scaling()));
    fields.put("use_gating", bottleneck.gating());
    fields.put("init_weights", bottleneck.start().name().toLowerCase(Locale.ROOT));
    fields.put("init_weights_seed", null);
    fields.put("dropout", bottleneck.dropout());
    fields.put("stochastic_depth", bottleneck.stochasticDepth());
    fields.put("leave_out", bottleneck.leaveOut());
    fields.put("drop_first", bottleneck.dropFirst()); // ours: training alone reads it
    fields.put(
        "inv_adapter", coupling == null ? null : coupling.form().name().toLowerCase(Locale.ROOT));
    fields.put("inv_adapter_reduction_factor", coupling == null ? null : coupling.reduction());
    addPhm(fields, bottleneck.phm());
    return fields;
  }

  private static Object reduction(Reduction reduction) {
    if (reduction.layers().isEmpty() && reduction.usual() != null) {
      return reduction.usual();
    }
    Map<String, Object> layers = new LinkedHashMap<>();
    reduction.layers().forEach((layer, factor) -> layers.put(String.valueOf(layer), factor));
    if (reduction.usual() != null) {
      layers.put("default", reduction.usual());
    }
    return layers;
  }

  private static Object scaling(Scaling scaling) {
    if (scaling instanceof Scaling.Fixed fixed) {
      return fixed.factor();
    }
    return scaling instanceof Scaling.Learned ? "learned" : "channel";
  }

  private static void addPhm(Map<String, @Nullable Object> fields, @Nullable Phm used) {
    Phm phm = used == null ? Phm.COMPACTER : used;
    fields.put("phm_layer", used != null);
    fields.put("phm_dim", phm.dimension());
    fields.put("factorized_phm_W", phm.factorizedWeights());
    fields.put("shared_W_phm", phm.sharedWeights());
    fields.put("shared_phm_rule", phm.sharedRule());
    fields.put("factorized_phm_rule", phm.factorizedRule());
    fields.put("learn_phm", phm.learnRule());
    fields.put("phm_rank", phm.rank());
    fields.put("phm_bias", phm.bias());
    fields.put("phm_c_init", phm.ruleStart());
    fields.put("phm_init_range", phm.ruleRange());
    fields.put("hypercomplex_nonlinearity", phm.weightStart());
  }
}

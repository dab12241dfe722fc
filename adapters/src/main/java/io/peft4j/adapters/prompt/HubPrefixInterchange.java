package io.peft4j.adapters.prompt;

import com.google.common.collect.ImmutableMap;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapters.adapterhub.PresetInterchange;
import io.peft4j.adapters.peft.PeftConfig;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** {@code PrefixTuningConfig} of AdapterHub. */
public final class HubPrefixInterchange extends PresetInterchange {
  /** For ServiceLoader. */
  public HubPrefixInterchange() {
    super(
        ImmutableMap.of(
            "hub-prefix-tuning",
            HubPrefixTuning.length(30),
            "hub-prefix-tuning-flat",
            HubPrefixTuning.flat(30)));
  }

  @Override
  public String architecture() {
    return "prefix_tuning";
  }

  @Override
  public boolean writes(AdapterMethod method) {
    return method instanceof HubPrefixTuning;
  }

  @Override
  public AdapterMethod read(PeftConfig config) {
    return new HubPrefixTuning(
        config.whole("prefix_length", 30),
        config.flag("flat", false),
        config.whole("bottleneck_size", 512),
        config.text("non_linearity", "tanh"),
        config.number("dropout", 0),
        config.flag("use_gating", false),
        config.flag("shared_gating", true),
        config.wholes("leave_out"));
  }

  @Override
  public Map<String, @Nullable Object> fields(AdapterMethod method) {
    HubPrefixTuning prefix = (HubPrefixTuning) method;
    Map<String, @Nullable Object> fields = new LinkedHashMap<>();
    fields.put("architecture", "prefix_tuning");
    fields.put("encoder_prefix", true);
    fields.put("cross_prefix", true);
    fields.put("prefix_length", prefix.length());
    fields.put("flat", prefix.flat());
    fields.put("bottleneck_size", prefix.bottleneck());
    fields.put("non_linearity", prefix.nonLinearity());
    fields.put("dropout", prefix.dropout());
    fields.put("use_gating", prefix.gating());
    fields.put("shared_gating", prefix.sharedGating());
    fields.put("leave_out", prefix.leaveOut());
    fields.put("init_weights_seed", null);
    return fields;
  }
}

package io.peft4j.adapters.reft;

import static io.peft4j.adapters.adapterhub.AdapterHubInterchange.unsupported;

import com.google.common.collect.ImmutableMap;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapters.adapterhub.PresetInterchange;
import io.peft4j.adapters.peft.PeftConfig;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * {@code ReftConfig} of AdapterHub. Its version 1.2 does not write {@code subtract_projection}, so
 * that a DiReFT that it saved reads as NoReFT, there and here; what is written here says it.
 */
public final class ReftInterchange extends PresetInterchange {
  /** For ServiceLoader. */
  public ReftInterchange() {
    super(
        ImmutableMap.of(
            "loreft", Reft.lowRank(1), "noreft", Reft.free(1), "direft", Reft.direct(1)));
  }

  @Override
  public String architecture() {
    return "reft";
  }

  @Override
  public boolean writes(AdapterMethod method) {
    return method instanceof Reft;
  }

  @Override
  public AdapterMethod read(PeftConfig config) {
    if (config.has("dtype")) {
      throw unsupported(config, "dtype", "set it to null and train again");
    }
    if (!config.flag("output_reft", true)) {
      throw unsupported(config, "output_reft", "ReFT changes the outputs of layers");
    }
    boolean all = config.isText("layers");
    if (all && !config.text("layers", "").equals("all")) {
      throw unsupported(config, "layers", "it may be \"all\" or a list of numbers");
    }
    return new Reft(
        config.whole("r", 1),
        all || !config.has("layers") ? null : config.wholes("layers"),
        config.whole("prefix_positions", 3),
        config.whole("suffix_positions", 0),
        config.flag("orthogonality", true),
        config.flag("tied_weights", false),
        config.flag("subtract_projection", true),
        config.isText("non_linearity") ? config.text("non_linearity", "") : null,
        config.number("dropout", 0.05));
  }

  @Override
  public Map<String, @Nullable Object> fields(AdapterMethod method) {
    Reft reft = (Reft) method;
    Map<String, @Nullable Object> fields = new LinkedHashMap<>();
    fields.put("architecture", "reft");
    fields.put("layers", reft.layers() == null ? "all" : reft.layers());
    fields.put("prefix_positions", reft.first());
    fields.put("suffix_positions", reft.last());
    fields.put("r", reft.rank());
    fields.put("orthogonality", reft.orthogonal());
    fields.put("tied_weights", reft.tied());
    fields.put("subtract_projection", reft.subtracting());
    fields.put("non_linearity", reft.nonLinearity());
    fields.put("dropout", reft.dropout());
    fields.put("output_reft", true);
    fields.put("dtype", null);
    fields.put("init_weights_seed", null);
    return fields;
  }
}

package io.peft4j.adapters.hublora;

import static io.peft4j.adapters.adapterhub.AdapterHubInterchange.unsupported;

import com.google.common.collect.ImmutableMap;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapters.adapterhub.PresetInterchange;
import io.peft4j.adapters.peft.PeftConfig;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** {@code LoRAConfig} of AdapterHub and its kin. */
public final class HubLoraInterchange extends PresetInterchange {
  private static final List<Place> ATTENTION = List.of(Place.QUERY, Place.KEY, Place.VALUE);

  /** For ServiceLoader. */
  public HubLoraInterchange() {
    super(
        ImmutableMap.of(
            "hub-lora", HubLora.lora(), "hub-ia3", HubLora.ia3(), "hub-vera", HubLora.vera()));
  }

  @Override
  public String architecture() {
    return "lora";
  }

  @Override
  public boolean writes(AdapterMethod method) {
    return method instanceof HubLora;
  }

  @Override
  public AdapterMethod read(PeftConfig config) {
    for (String key : new String[] {"dtype", "task_names"}) {
      if (config.has(key)) {
        throw unsupported(config, key, "set it to null and train again");
      }
    }
    if (config.flag("use_dora", false)) {
      throw unsupported(config, "use_dora", "take PEFT's lora with use_dora");
    }
    String mode = config.text("composition_mode", "add");
    if (!mode.equals("add") && !mode.equals("scale")) {
      throw unsupported(config, "composition_mode", "it may be add or scale");
    }
    boolean vera = config.has("vera_d") || config.has("vera_b");
    Change change =
        vera ? Change.SHARED_LOW_RANK : mode.equals("scale") ? Change.SCALE : Change.LOW_RANK;
    return new HubLora(
        change,
        places(config),
        config.whole("r", 8),
        config.number("alpha", 8),
        config.number("dropout", 0),
        config.flag("use_gating", false),
        config.text("init_weights", "lora"),
        config.wholes("leave_out"),
        config.number("vera_b", 0),
        config.number("vera_d", 0.1));
  }

  private static Set<Place> places(PeftConfig config) {
    Set<Place> places = EnumSet.noneOf(Place.class);
    if (config.flag("selfattn_lora", true)) {
      List<String> named = config.texts("attn_matrices");
      for (String matrix : named.isEmpty() ? List.of("q", "v") : named) {
        places.add(
            ATTENTION.stream()
                .filter(place -> place.matrix().equals(matrix))
                .findFirst()
                .orElseThrow(() -> unsupported(config, "attn_matrices", "it may hold q, k and v")));
      }
    }
    if (config.flag("intermediate_lora", false)) {
      places.add(Place.UP);
    }
    if (config.flag("output_lora", false)) {
      places.add(Place.DOWN);
    }
    return places;
  }

  @Override
  public Map<String, @Nullable Object> fields(AdapterMethod method) {
    HubLora lora = (HubLora) method;
    boolean vera = lora.change() == Change.SHARED_LOW_RANK;
    List<String> matrices =
        ATTENTION.stream().filter(lora.places()::contains).map(Place::matrix).toList();
    Map<String, @Nullable Object> fields = new LinkedHashMap<>();
    fields.put("architecture", "lora");
    fields.put("selfattn_lora", !matrices.isEmpty());
    fields.put("attn_matrices", matrices);
    fields.put("intermediate_lora", lora.places().contains(Place.UP));
    fields.put("output_lora", lora.places().contains(Place.DOWN));
    fields.put("r", lora.rank());
    fields.put("alpha", lora.alpha());
    fields.put("dropout", lora.dropout());
    fields.put("composition_mode", lora.change() == Change.SCALE ? "scale" : "add");
    fields.put("use_gating", lora.gating());
    fields.put("init_weights", lora.start());
    fields.put("init_weights_seed", null);
    fields.put("leave_out", lora.leaveOut());
    fields.put("vera_b", vera ? lora.diagonalB() : null);
    fields.put("vera_d", vera ? lora.diagonalD() : null);
    fields.put("dtype", null);
    return fields;
  }
}

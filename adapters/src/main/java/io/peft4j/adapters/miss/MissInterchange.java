package io.peft4j.adapters.miss;

import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapters.peft.PeftConfig;
import io.peft4j.adapters.peft.RecordInterchange;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** MiSS in recipes, and as PEFT's configuration says it, whose init_weights names the form. */
public final class MissInterchange extends RecordInterchange<Miss> {
  private static final String FORM = "init_weights";

  /** For ServiceLoader. */
  public MissInterchange() {
    super(
        "MISS",
        Miss.rank(64),
        Miss.rank(64),
        Map.of("rank", "r", "dropout", "miss_dropout", "miniRank", "mini_r"));
  }

  @Override
  public AdapterMethod read(PeftConfig config, String modelType) {
    String form = config.textOrEmpty(FORM);
    Miss miss = (Miss) super.read(config, modelType);
    return switch (form) {
      case "bat" -> miss.variant(Miss.Variant.BAT);
      case "mini" -> miss.variant(Miss.Variant.MINI);
      default -> miss;
    };
  }

  @Override
  public Map<String, @Nullable Object> write(AttachedAdapter adapter) {
    Map<String, @Nullable Object> fields = super.write(adapter);
    Miss.Variant form = ((Miss) adapter.method()).variant();
    fields.remove("variant");
    fields.put(FORM, form == Miss.Variant.PLAIN ? true : form.name().toLowerCase(Locale.ROOT));
    return fields;
  }
}

package io.peft4j.adapters.bottleneck;

import static org.assertj.core.api.Assertions.assertThat;

import io.peft4j.PeftException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapters.peft.PeftConfig;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Every field of the library's BnConfig changes what is read, or is refused by name. */
class BottleneckFieldsTest {
  /** Decides random numbers alone, which a file's values take the place of. */
  private static final String SEED = "init_weights_seed";

  static Stream<Arguments> changes() {
    return Stream.of(
        Arguments.of("mh_adapter", true),
        Arguments.of("output_adapter", false),
        Arguments.of("reduction_factor", 8.0),
        Arguments.of("reduction_factor", Map.of("0", 4.0, "default", 8.0)),
        Arguments.of("non_linearity", "gelu"),
        Arguments.of("original_ln_before", false),
        Arguments.of("original_ln_after", false),
        Arguments.of("ln_before", true),
        Arguments.of("ln_after", true),
        Arguments.of("init_weights", "mam_adapter"),
        Arguments.of("init_weights", "houlsby"),
        Arguments.of("is_parallel", true),
        Arguments.of("scaling", 4.0),
        Arguments.of("scaling", "learned"),
        Arguments.of("scaling", "channel"),
        Arguments.of("use_gating", true),
        Arguments.of("residual_before_ln", false),
        Arguments.of("residual_before_ln", "post_add"),
        Arguments.of("adapter_residual_before_ln", true),
        Arguments.of("inv_adapter", "nice"),
        Arguments.of("inv_adapter", "glow"),
        Arguments.of("inv_adapter_reduction_factor", 4.0),
        Arguments.of("cross_adapter", true),
        Arguments.of("leave_out", List.of(1)),
        Arguments.of("dropout", 0.1),
        Arguments.of("stochastic_depth", 0.1),
        Arguments.of("phm_layer", true),
        Arguments.of("phm_dim", 2),
        Arguments.of("factorized_phm_W", false),
        Arguments.of("shared_W_phm", true),
        Arguments.of("shared_phm_rule", false),
        Arguments.of("factorized_phm_rule", true),
        Arguments.of("phm_c_init", "uniform"),
        Arguments.of("phm_init_range", 0.1),
        Arguments.of("learn_phm", false),
        Arguments.of("hypercomplex_nonlinearity", "normal"),
        Arguments.of("phm_rank", 2),
        Arguments.of("phm_bias", false));
  }

  /** Pfeiffer's, with what a field needs to count at all. */
  private static Map<String, @Nullable Object> fields(String changed) {
    Map<String, @Nullable Object> fields =
        new LinkedHashMap<>(new BottleneckInterchange().fields(Bottleneck.pfeiffer().build()));
    boolean isPhm = changed.matches(".*phm.*|hypercomplex.*") && !changed.equals("phm_layer");
    fields.put("phm_layer", isPhm);
    fields.put("mh_adapter", changed.equals("output_adapter"));
    if (changed.equals("inv_adapter_reduction_factor")) {
      fields.put("inv_adapter", "nice");
    }
    return fields;
  }

  private static AdapterMethod read(Map<String, @Nullable Object> fields) {
    return new BottleneckInterchange().read(PeftConfig.of(Path.of("config"), fields));
  }

  @ParameterizedTest
  @MethodSource("changes")
  void itCountsOrIsRefusedByName(String field, Object value) {
    Map<String, @Nullable Object> fields = fields(field);
    AdapterMethod before = read(fields);
    fields.put(field, value);
    try {
      assertThat(read(fields)).isNotEqualTo(before);
    } catch (PeftException e) {
      assertThat(e).hasMessageContaining(field);
    }
  }

  @Test
  void theseAreAllFieldsThatAreWritten() {
    TreeSet<String> changed = new TreeSet<>();
    changes().forEach(change -> changed.add((String) change.get()[0]));
    changed.addAll(List.of(SEED, "drop_first")); // the latter is none of the library's
    assertThat(fields("none").keySet()).containsExactlyInAnyOrderElementsOf(changed);
  }
}

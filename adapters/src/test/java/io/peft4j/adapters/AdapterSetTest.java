package io.peft4j.adapters;

import static io.peft4j.adapters.MethodCase.assertClose;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.AdaptedModel;
import io.peft4j.AdapterSet;
import io.peft4j.PeftException;
import io.peft4j.engine.OutputDifference;
import io.peft4j.graph.Tensor;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Several adapters on one model. */
class AdapterSetTest {
  private static final Path METHODS = Path.of("src/test/resources/methods");

  @TempDir Path folder;

  private static Map<String, AdaptedModel> adapters() {
    Map<String, AdaptedModel> adapters = new LinkedHashMap<>();
    adapters.put("lora", MethodCase.peft("lora-qv").adapted());
    adapters.put("scaled", MethodCase.peft("ia3-bert").adapted());
    adapters.put("bottleneck", MethodCase.bert().load(METHODS.resolve("adapterhub/seq_bn")));
    return adapters;
  }

  @Test
  void eachRowIsThatOfItsAdapterAlone() {
    Map<String, Tensor> inputs = MethodCase.peft("lora-qv").inputs();
    Map<String, AdaptedModel> adapters = adapters();
    List<List<String>> batches =
        List.of(
            List.of("lora", AdapterSet.BASE, "scaled"),
            List.of("bottleneck", "lora", "bottleneck"),
            List.of("scaled", "scaled", "lora"));
    try (AdapterSet set = AdapterSet.of(MethodCase.bert(), adapters)) {
      assertThat(set.names()).containsExactly("lora", "scaled", "bottleneck");
      for (List<String> names : batches) {
        Tensor mixed = set.run(inputs, names).get("logits");
        for (int row = 0; row < names.size(); row++) {
          Tensor alone = set.run(inputs, names.get(row)).get("logits");
          assertClose(names.get(row), mixed.selected(0, row), alone.selected(0, row), 1e-6, 0);
        }
      }
      Tensor own = MethodCase.run(adapters.get("lora").graph(), inputs).get("logits");
      assertThat(set.run(inputs, "lora").get("logits").contentEquals(own)).isTrue();
      Tensor base = set.run(inputs, AdapterSet.BASE).get("logits");
      for (String name : set.names()) {
        assertThat(OutputDifference.largest(base, set.run(inputs, name).get("logits")))
            .isGreaterThan(1e-3);
      }
    }
  }

  @Test
  void aFolderOfNamedAdaptersLoads() {
    adapters().get("lora").save(folder.resolve("both"));
    MethodCase.peft("lora-ffn").adapted().save(folder.resolve("both/second"));
    try (AdapterSet set = AdapterSet.load(MethodCase.bert(), folder.resolve("both"))) {
      assertThat(set.names()).containsExactly("default", "second");
      MethodCase golden = MethodCase.peft("lora-ffn");
      Tensor logits = set.run(golden.inputs(), "second").get("logits");
      assertClose("logits", logits, golden.io().get("logits"), 1e-5, 0);
    }
  }

  @Test
  void whatIsWrongIsNamed() {
    Map<String, Tensor> inputs = MethodCase.peft("lora-qv").inputs();
    try (AdapterSet set = AdapterSet.of(MethodCase.bert(), adapters())) {
      assertFails("no adapter 'other'", () -> set.run(inputs, "other"));
      assertFails("no adapter 'other'", () -> set.run(inputs, List.of("lora", "lora", "other")));
      assertFails("2 rows", () -> set.run(inputs, List.of("lora", "lora")));
    }
    assertFails("holds an adapter", () -> AdapterSet.load(MethodCase.bert(), folder));
    adapters().get("lora").save(folder.resolve("dir/name"));
    assertFails("give one of them", () -> MethodCase.bert().load(folder.resolve("dir")));
  }

  private static void assertFails(String part, Runnable work) {
    assertThatThrownBy(work::run).isInstanceOf(PeftException.class).hasMessageContaining(part);
  }
}

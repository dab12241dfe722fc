package io.peft4j.adapters;

import static io.peft4j.adapters.MethodCase.assertClose;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.peft4j.AdaptedModel;
import io.peft4j.UnsupportedModelException;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.frod.Frod;
import io.peft4j.graph.Tensor;
import io.peft4j.math.Matrix;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** FRoD that starts anew; PEFT's own numbers are in {@link GoldenPeftTest}. */
class FrodTest {
  private static final MethodCase GOLDEN = MethodCase.peft("frod");

  /**
   * The basis is unique up to the signs of its columns, where eigenvalues differ. PEFT decomposes
   * in float32, so that columns turn towards each other a little; those two of the queries whose
   * eigenvalues are 2.052512 and 2.052518 are some two of the same plane.
   */
  @Test
  void theBasisIsThatOfPeftUpToSigns() {
    AdaptedModel stored = GOLDEN.adapted();
    AdaptedModel fresh = GOLDEN.base().attach(stored.adapter().method());
    for (String kind : List.of("self_query", "self_value")) {
      Matrix ours = Matrix.of(fresh.graph().initializer("frod_V." + kind + ".default"));
      Matrix theirs = Matrix.of(stored.graph().initializer("frod_V." + kind + ".default"));
      Matrix turn = ours.solve(theirs);
      int size = turn.rows();
      assertThat(turn.transposed().times(turn).minus(Matrix.identity(size)).norm())
          .isLessThan(1e-4);
      for (int i = 0; i < size; i++) {
        for (int j = 0; j < size; j++) {
          boolean plane = kind.equals("self_query") && (i == 3 || i == 4) && (j == 3 || j == 4);
          if (!plane) {
            assertThat(Math.abs(turn.get(i, j)))
                .as("%s %d %d", kind, i, j)
                .isCloseTo(i == j ? 1 : 0, within(1e-2));
          }
        }
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    "frod,query|value|dense",
    "lora-gpt2,c_attn|c_proj",
    "prefix-tuning-llama,q_proj|k_proj|down_proj"
  })
  void startsUnchangedAndStaysSoInItsFileAndMerged(
      String like, String targets, @TempDir Path work) {
    MethodCase batch = MethodCase.peft(like);
    Frod method = Frod.standard().on(Targets.matching(".*\\.(" + targets + ")"));
    AdaptedModel model = batch.base().attach(method);
    Tensor before = MethodCase.run(batch.base().graph(), batch.inputs()).get("logits");
    Tensor logits = MethodCase.run(model.graph(), batch.inputs()).get("logits");
    assertClose("start", logits, before, 1e-5, 0);
    model.save(work.resolve("adapter"));
    AdaptedModel read = batch.base().load(work.resolve("adapter"));
    assertThat(MethodCase.run(read.graph(), batch.inputs()).get("logits").contentEquals(logits))
        .isTrue();
    assertThat(read.merge().maxOutputDifference()).isLessThan(1e-5);
  }

  @Test
  void aFileWithoutItsBasisIsRefused(@TempDir Path work) throws IOException {
    Path folder = Files.createDirectory(work.resolve("adapter"));
    for (String name : List.of("adapter_config.json", "adapter_model.safetensors")) {
      Files.copy(GOLDEN.folder().resolve(name), folder.resolve(name));
    }
    Path config = folder.resolve("adapter_config.json");
    Files.writeString(
        config,
        Files.readString(config)
            .replace("\"save_projection\": true", "\"save_projection\": false"));
    assertThatThrownBy(() -> GOLDEN.base().load(folder))
        .isInstanceOf(UnsupportedModelException.class)
        .hasMessageContaining("save_projection=True");
  }
}

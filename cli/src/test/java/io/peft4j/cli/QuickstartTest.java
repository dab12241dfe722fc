package io.peft4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import ai.djl.inference.Predictor;
import ai.djl.modality.Classifications;
import ai.djl.repository.zoo.Criteria;
import ai.djl.repository.zoo.ZooModel;
import ai.djl.translate.DeferredTranslatorFactory;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.google.common.collect.ImmutableList;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The real command on the real embedded model, once. */
class QuickstartTest {
  @TempDir static Path folder;
  private static Path run;
  private static Cli cli;

  @BeforeAll
  static void quickstart() {
    run = folder.resolve("quickstart");
    cli = Cli.run("quickstart", "--output", run);
  }

  @Test
  void theAdapterGainsAndEveryFormAgrees() throws Exception {
    assertThat(cli.exit()).as(cli.err()).isZero();
    JsonNode metrics = new ObjectMapper().readTree(run.resolve("metrics.json").toFile());
    assertThat(ImmutableList.copyOf(metrics.fieldNames()))
        .containsExactly(
            "baselineAccuracy",
            "adaptedAccuracy",
            "mergedAccuracy",
            "exportedAccuracy",
            "mergeMaxLogitDifference",
            "exportMaxLogitDifference",
            "trainableParameters",
            "totalParameters",
            "trainSeconds",
            "totalSeconds");
    double adapted = metrics.get("adaptedAccuracy").asDouble();
    assertThat(adapted).isGreaterThan(metrics.get("baselineAccuracy").asDouble());
    assertThat(metrics.get("mergedAccuracy").asDouble()).isEqualTo(adapted);
    assertThat(metrics.get("exportedAccuracy").asDouble()).isEqualTo(adapted);
    assertThat(metrics.get("mergeMaxLogitDifference").asDouble()).isLessThan(1e-4);
    assertThat(metrics.get("exportMaxLogitDifference").asDouble()).isLessThan(1e-4);
    assertThat(metrics.get("trainableParameters").asLong()).isEqualTo(188_170);
    assertThat(metrics.get("totalParameters").asLong()).isEqualTo(22_713_216 + 188_170);
    assertThat(run.resolve("adapter/adapter_config.json")).exists();
    assertThat(run.resolve("tokenizer.json")).exists();
    assertThat(cli.out()).contains("frozen encoder", "adapted", "merged", "exported");
  }

  @Test
  void djlLoadsTheRunFolderAsItIs() throws Exception {
    Criteria<String, Classifications> criteria =
        Criteria.builder()
            .setTypes(String.class, Classifications.class)
            .optModelPath(run)
            .optTranslatorFactory(new DeferredTranslatorFactory()) // as serving.properties says
            .build();
    try (ZooModel<String, Classifications> model = criteria.loadModel();
        Predictor<String, Classifications> predictor = model.newPredictor()) {
      assertThat(predictor.predict("Tracking says my parcel is a week late.").best().getClassName())
          .isEqualTo("delivery_delay");
      assertThat(predictor.predict("I forgot my password and can't log in").best().getClassName())
          .isEqualTo("login_problem");
    }
  }

  @Test
  void theCommandReadsWhatItWrote() throws Exception {
    Path data =
        Files.writeString(
            folder.resolve("new.jsonl"),
            "{\"text\": \"please send me the invoice for my last order as a PDF\"}\n");
    Cli predicted = Cli.run("predict", run.resolve("model.onnx"), "--data", data);
    assertThat(predicted.out()).startsWith("invoice_request\t");
    Cli inspected = Cli.run("inspect", run.resolve("model.onnx"));
    assertThat(inspected.out()).contains("feed-forward").contains("384 -> 1536 -> 384");
  }
}

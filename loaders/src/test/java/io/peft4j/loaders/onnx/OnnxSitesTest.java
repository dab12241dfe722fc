package io.peft4j.loaders.onnx;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Value;
import io.peft4j.loaders.GoldenCase;
import io.peft4j.site.EmbeddingSite;
import io.peft4j.site.LinearSite;
import io.peft4j.site.NormSite;
import io.peft4j.site.Role;
import io.peft4j.site.Sites;
import java.io.IOException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Sites of exported models, against the names that the checkpoints give their parameters. */
class OnnxSitesTest {
  /** What each model has: linears, feed-forward blocks, attention blocks, norms, embeddings. */
  private static final String COUNTS =
      """
      bert-dynamo,14,2,2,5,3
      bert-external,14,2,2,5,3
      bert-fp16-weights,14,2,2,5,3
      bert-nofold,14,2,2,5,3
      bert-opset14,14,2,2,5,3
      bert-opset17,14,2,2,5,3
      roberta,14,2,2,5,3
      distilbert,14,2,2,5,2
      gpt2,9,2,2,5,2
      llama,15,2,2,5,1
      t5-encoder,12,2,2,5,2
      vit,13,2,2,5,0
      mlp784,2,1,0,0,0
      """;

  @ParameterizedTest
  @CsvSource(textBlock = COUNTS)
  void everySiteIsFoundUnderItsCheckpointName(
      String name, int linears, int feedForwards, int attentions, int norms, int embeddings)
      throws IOException {
    GoldenCase golden = GoldenCase.of("onnx", name);
    Sites sites = Sites.of(graph(golden));
    assertCounts(sites, linears, feedForwards, attentions, norms, embeddings);
    JsonNode names = golden.meta().get("hf_names");
    for (LinearSite site : sites.linears()) {
      assertNamed(names, site.weight(), site.path() + ".weight", site.storedTransposed());
      if (site.bias() != null) {
        assertNamed(names, site.bias(), site.path() + ".bias", false);
      }
    }
    for (NormSite site : sites.norms()) {
      assertNamed(names, site.weight(), site.path() + ".weight", false);
    }
    for (EmbeddingSite site : sites.embeddings()) {
      assertNamed(names, site.weight(), site.path() + ".weight", false);
    }
  }

  private static void assertNamed(
      JsonNode names, String initializer, String parameter, boolean transposed) {
    JsonNode golden = names.get(initializer);
    if (golden == null || parameter.startsWith("lm_head.")) {
      return; // a tied or rewritten weight: the checkpoint holds it under another module's name
    }
    assertThat(parameter).isEqualTo(golden.get("parameter").asText());
    assertThat(transposed).as(parameter).isEqualTo(golden.get("transposed").asBoolean());
  }

  @ParameterizedTest
  @CsvSource(textBlock = COUNTS)
  void opaqueNamesHideNothing(
      String name, int linears, int feedForwards, int attentions, int norms, int embeddings)
      throws IOException {
    Graph plain = graph(GoldenCase.of("onnx", name));
    Sites sites = Sites.of(opaque(plain));
    assertCounts(sites, linears, feedForwards, attentions, norms, embeddings);
    List<Role> roles = Sites.of(plain).linears().stream().map(LinearSite::role).toList();
    assertThat(sites.linears().stream().map(LinearSite::role)).isEqualTo(roles);
    assertThat(sites.linears().stream().map(LinearSite::path)).doesNotHaveDuplicates();
  }

  private static void assertCounts(
      Sites sites, int linears, int feedForwards, int attentions, int norms, int embeddings) {
    assertThat(sites.linears()).hasSize(linears);
    assertThat(sites.feedForwards()).hasSize(feedForwards);
    assertThat(sites.attentions()).hasSize(attentions);
    assertThat(sites.norms()).hasSize(norms);
    assertThat(sites.embeddings()).hasSize(embeddings);
  }

  private static Graph graph(GoldenCase golden) {
    return new OnnxFormat().read(golden.folder().resolve("model.onnx")).graph();
  }

  /** The same graph, nothing in it named after what it does. */
  private static Graph opaque(Graph graph) {
    Map<String, String> names = new HashMap<>();
    UnaryOperator<String> rename =
        v -> v.isEmpty() ? "" : names.computeIfAbsent(v, k -> "v" + names.size());
    GraphEditor editor = new GraphEditor("opaque");
    for (Value input : graph.inputs()) {
      editor.input(input.withName(rename.apply(input.name())));
    }
    graph.initializers().forEach((key, tensor) -> editor.initializer(rename.apply(key), tensor));
    for (Node node : graph.nodes()) {
      editor.add(
          new Node(
              "",
              node.domain(),
              node.op(),
              node.inputs().stream().map(rename).toList(),
              node.outputs().stream().map(rename).toList(),
              node.attributes(),
              "",
              Map.of()));
    }
    for (Value output : graph.outputs()) {
      editor.output(output.withName(rename.apply(output.name())));
    }
    return editor.build();
  }
}

package io.peft4j.cli;

import io.peft4j.AdaptedModel;
import io.peft4j.Checkpoints;
import io.peft4j.PretrainedModel;
import io.peft4j.graph.Graph;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** A model, and perhaps an adapter on it. */
final class ModelArguments {
  @Parameters(
      paramLabel = "MODEL",
      description = "An ONNX file, or a folder with config.json and SafeTensors weights.")
  private Path model = Path.of("");

  @Option(
      names = "--adapter",
      paramLabel = "DIR",
      description = "The folder that directly holds adapter_config.json.")
  private @Nullable Path adapter;

  Path path() {
    return model;
  }

  @Nullable Path adapter() {
    return adapter;
  }

  /** A model that was opened. */
  record Opened(PretrainedModel base, @Nullable AdaptedModel adapted) {
    /** The model with its adapter, if there is one, folded in. */
    PretrainedModel merged() {
      return adapted == null ? base : adapted.merge().model();
    }

    /** The model with its adapter, if there is one, as a part of its graph. */
    PretrainedModel unmerged() {
      return adapted == null ? base : adapted.unmerged();
    }

    Graph graph() {
      return adapted == null ? base.graph() : adapted.graph();
    }

    List<String> labels() {
      return adapted == null ? base.checkpoint().labels() : adapted.labels();
    }
  }

  Opened open() {
    PretrainedModel base = Checkpoints.open(model);
    return new Opened(base, adapter == null ? null : base.load(adapter));
  }
}

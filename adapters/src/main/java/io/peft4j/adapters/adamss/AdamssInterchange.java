package io.peft4j.adapters.adamss;

import io.peft4j.CheckpointFormatException;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapters.peft.RecordInterchange;
import io.peft4j.math.Matrix;
import java.nio.file.Path;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * AdaMSS in recipes, and as PEFT's configuration says it. Its files do not say which row belongs to
 * which group: PEFT and peft4j find that again from the base model's weights.
 */
public final class AdamssInterchange extends RecordInterchange<Adamss> {
  /** Length of a stored direction within the space of the ones found below which it is another. */
  private static final double SAME_SPACE = 0.99;

  /** For ServiceLoader. */
  public AdamssInterchange() {
    super("ADAMSS", Adamss.standard(), Adamss.standard(), Map.of("rank", "r"));
  }

  @Override
  protected Map<String, @Nullable Object> furtherFields() {
    return Map.of("init_weights", "orthogonal");
  }

  @Override
  public void check(Path file, AttachedAdapter started, AttachedAdapter read) {
    for (AdapterTensor tensor : read.tensors()) {
      if (!tensor.parameter().equals(Adamss.DIRECTIONS)) {
        continue;
      }
      Matrix found = Matrix.of(started.graph().initializer(tensor.initializer()));
      Matrix stored = Matrix.of(read.graph().initializer(tensor.initializer()));
      Matrix within = stored.times(found.transposed());
      for (int i = 0; i < within.rows(); i++) {
        double length = within.rows(i, i + 1).norm();
        if (!(length > SAME_SPACE)) {
          throw new CheckpointFormatException(
              "%s: '%s' holds directions of another weight than '%s' has in this model, so that its groups of rows are not known; use the base model and the random_seed that the adapter was made with, on a CPU"
                  .formatted(file, Adamss.DIRECTIONS, tensor.module()));
        }
      }
    }
  }
}

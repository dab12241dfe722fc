package io.peft4j.adapters.combine;

import io.peft4j.UnsupportedModelException;
import io.peft4j.adapters.peft.PeftFolder;
import java.util.LinkedHashMap;
import java.util.Map;

/** What a folder of LoRA tells of its updates without a model. */
public final class LoraUpdates {
  private LoraUpdates() {}

  /**
   * An update.
   *
   * @param norm ‖s B A‖ (Frobenius)
   */
  public record Update(int rank, double norm) {}

  /**
   * The updates s B A by module path; none where the file alone does not tell them, as for other
   * methods and for DoRA.
   *
   * @throws io.peft4j.CheckpointFormatException if the tensors are not what the configuration says
   */
  public static Map<String, Update> of(PeftFolder folder) {
    Map<String, Update> updates = new LinkedHashMap<>();
    try {
      LoraFolder.of(folder)
          .modules()
          .forEach(
              (module, factors) ->
                  updates.put(
                      LoraFolder.path(module),
                      new Update(factors.rank(), factors.update().norm())));
    } catch (UnsupportedModelException e) {
      return Map.of();
    }
    return updates;
  }
}

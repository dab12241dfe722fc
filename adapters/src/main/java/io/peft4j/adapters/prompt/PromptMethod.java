package io.peft4j.adapters.prompt;

import io.peft4j.RecipeException;
import io.peft4j.adapters.compose.ComposableMethod;
import java.util.List;

/** A prompt as PEFT has it: so many vectors, and modules that train whole beside them. */
sealed interface PromptMethod extends ComposableMethod permits PromptTuning, PTuning, PrefixTuning {
  int virtualTokens();

  List<String> modulesToSave();

  /** Whether a network makes the vectors, which files do not hold. */
  default boolean hasNetwork() {
    return false;
  }

  /** The same prompt, its vectors trained themselves. */
  default PromptMethod alone() {
    return this;
  }

  /**
   * Checks the size of a network.
   *
   * @param size 0 for the model's
   */
  static void checkHiddenSize(int size, boolean hasNetwork, String remedy) {
    if (size < 0) {
      throw new RecipeException(
          "encoder_hidden_size must be at least 1, or 0 for the model's, was " + size);
    }
    if (size != 0 && !hasNetwork) {
      throw new RecipeException(
          "encoder_hidden_size is %d, but nothing makes the vectors; %s".formatted(size, remedy));
    }
  }
}

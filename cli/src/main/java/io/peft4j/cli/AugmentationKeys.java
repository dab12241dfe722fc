package io.peft4j.cli;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.peft4j.RecipeException;
import io.peft4j.compress.distill.Augmentation;
import io.peft4j.compress.distill.TextAugmentation;
import io.peft4j.compress.distill.TextAugmentations;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The section {@code augmentation} of a recipe for distillation.
 *
 * @param copies further texts for each text; null for what suits student and rows
 * @param kinds how they are made
 * @param share the probability of a word to be masked, dropped, swapped or replaced
 * @param longest words of a sample
 * @param mark what stands for a masked word
 */
record AugmentationKeys(
    @Nullable Integer copies, List<String> kinds, double share, int longest, String mark) {
  private static final String KINDS = "augmentation.kinds";
  private static final List<String> KNOWN =
      List.of("drop", "swap", "sample", "replace", "splice", "mask");

  static final List<String> ALL =
      List.of(
          "augmentation.copies",
          KINDS,
          "augmentation.share",
          "augmentation.longest",
          "augmentation.mark");

  static AugmentationKeys read(RecipeKeys keys) {
    List<String> kinds = keys.texts(KINDS);
    for (String kind : kinds) {
      if (!KNOWN.contains(kind)) {
        throw new RecipeException(
            "%s: %s must be of %s, was '%s'"
                .formatted(keys.place(KINDS), KINDS, String.join(", ", KNOWN), kind));
      }
    }
    return new AugmentationKeys(
        keys.has("augmentation.copies") ? keys.whole("augmentation.copies", 0) : null,
        kinds.isEmpty() ? KNOWN.subList(0, 5) : kinds,
        keys.number("augmentation.share", 0.2),
        keys.whole("augmentation.longest", 5),
        keys.text("augmentation.mark", "[MASK]"));
  }

  /**
   * @param suitable copies where the recipe says nothing
   */
  Augmentation augmentation(int suitable) {
    return new Augmentation(
        copies == null ? suitable : copies, kinds.stream().map(this::kind).toList());
  }

  private TextAugmentation kind(String kind) {
    return switch (kind) {
      case "mask" -> TextAugmentations.masking(share, mark);
      case "drop" -> TextAugmentations.dropping(share);
      case "swap" -> TextAugmentations.swapping(share);
      case "sample" -> TextAugmentations.sampling(longest);
      case "replace" -> TextAugmentations.replacing(share);
      default -> TextAugmentations.splicing();
    };
  }

  void put(ObjectNode section) {
    section.put("copies", copies);
    section.putPOJO("kinds", kinds);
    section.put("share", share);
    section.put("longest", longest);
    section.put("mark", mark);
  }
}

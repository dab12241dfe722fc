package io.peft4j.compress.distill;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.RecipeException;
import io.peft4j.data.Dataset;
import io.peft4j.data.Example;
import java.util.HashSet;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class AugmentationTest {
  private static final List<String> WORDS = List.of("where", "is", "my", "new", "card");
  private static final List<List<String>> CORPUS = List.of(WORDS, List.of("cancel", "it"));

  private static List<String> apply(TextAugmentation augmentation) {
    return augmentation.apply(WORDS, CORPUS, new SplittableRandom(4));
  }

  @Test
  void eachKindDoesWhatItSays() {
    assertThat(apply(TextAugmentations.masking(0.5, "[MASK]")))
        .hasSize(5)
        .contains("[MASK]")
        .isSubsetOf("where", "is", "my", "new", "card", "[MASK]");
    assertThat(apply(TextAugmentations.dropping(0.5))).hasSizeBetween(1, 4).isSubsetOf(WORDS);
    assertThat(apply(TextAugmentations.dropping(0.999))).hasSize(1).isSubsetOf(WORDS);
    assertThat(apply(TextAugmentations.swapping(0.999)))
        .containsExactly("is", "where", "new", "my", "card");
    assertThat(String.join(" ", WORDS))
        .contains(String.join(" ", apply(TextAugmentations.sampling(3))));
    assertThat(apply(TextAugmentations.sampling(3))).hasSizeBetween(1, 3);
    assertThat(apply(TextAugmentations.splicing()).get(0)).isEqualTo("where");
    assertThat(apply(TextAugmentations.replacing(0.9))).hasSize(5).isNotEqualTo(WORDS);
  }

  @Test
  void furtherRowsHaveNoLabelsAndNoneIsThereTwice() {
    Dataset rows =
        new Dataset(
            "rows", List.of(Example.of("where is my new card", "a"), Example.of("cancel it", "b")));
    Dataset more = Augmentation.standard(20).apply(rows, 7);
    assertThat(more.examples()).startsWith(rows.examples().toArray(Example[]::new));
    List<Example> added = more.examples().subList(2, more.size());
    assertThat(added).isNotEmpty().allMatch(row -> row.label() == null && !row.text().isEmpty());
    assertThat(new HashSet<>(more.examples().stream().map(Example::text).toList()))
        .hasSize(more.size());
    assertThat(Augmentation.standard(20).apply(rows, 7)).isEqualTo(more);
    assertThat(Augmentation.none().apply(rows, 7)).isEqualTo(rows);
  }

  @Test
  void settingsOutOfRangeAreRefused() {
    assertThatThrownBy(() -> TextAugmentations.dropping(1)).isInstanceOf(RecipeException.class);
    assertThatThrownBy(() -> TextAugmentations.sampling(0)).isInstanceOf(RecipeException.class);
    assertThatThrownBy(() -> new Augmentation(3, List.of())).isInstanceOf(RecipeException.class);
  }
}

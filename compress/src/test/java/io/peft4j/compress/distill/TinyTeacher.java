package io.peft4j.compress.distill;

import io.peft4j.Checkpoints;
import io.peft4j.PretrainedModel;
import io.peft4j.data.Dataset;
import io.peft4j.data.Example;
import io.peft4j.data.TextTokenizer;
import io.peft4j.data.TextTokenizers;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The fixture base-bert as a teacher of five classes, and texts for it. */
final class TinyTeacher {
  static final List<String> LABELS = List.of("a", "b", "c", "d", "e");

  private TinyTeacher() {}

  static TextTokenizer tokenizer() {
    return TextTokenizers.open(Path.of("src/test/resources/distill/tokenizer.json"), 16);
  }

  static Teacher of(TextTokenizer tokenizer, @Nullable Path cache) {
    PretrainedModel model = Checkpoints.open(Path.of("src/test/resources/base-bert"));
    return new Teacher(
        new PretrainedModel(model.checkpoint().withLabels(LABELS)), tokenizer, cache);
  }

  /** Texts without labels. */
  static Dataset texts() {
    List<Example> rows = new ArrayList<>();
    for (String text :
        List.of(
            "my card is lost",
            "i want my money back",
            "where is the parcel",
            "the order has not arrived yet",
            "please cancel my order",
            "the item came broken",
            "i forgot my password please help",
            "you paid twice",
            "can i change the address",
            "it was the wrong item",
            "send a new card",
            "the bill has a wrong charge",
            "i never got the box",
            "reset my login")) {
      rows.add(new Example(text, null, null, rows.size() + 2));
    }
    return new Dataset("texts.tsv", rows);
  }
}

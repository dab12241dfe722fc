package io.peft4j.cli;

import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.Stream;

/** Golden models of the other modules, and a tiny encoder with a tokenizer of a few words. */
final class TinyModel {
  static final Path FAMILIES = Path.of("../loaders/src/test/resources/families");
  static final Path ONNX = Path.of("../loaders/src/test/resources/onnx");
  static final Path METHODS = Path.of("../adapters/src/test/resources/methods");

  private static final String[] WORDS = {
    "the", "a", "is", "was", "late", "early", "broken", "whole", "parcel", "bill", "wrong", "right",
    "cup", "lamp", "my", "your", "came", "went", "never", "always", "too", "high", "low", "sum"
  };

  private TinyModel() {}

  /** A BERT without a head and its tokenizer, in a new folder. */
  static Path encoder(Path folder) throws IOException {
    Files.createDirectories(folder);
    try (Stream<Path> files = Files.list(FAMILIES.resolve("bert-model"))) {
      for (Path file : files.toList()) {
        Files.copy(file, folder.resolve(file.getFileName()));
      }
    }
    StringBuilder vocabulary = new StringBuilder("\"[PAD]\":0,\"[UNK]\":1,\"[CLS]\":2,\"[SEP]\":3");
    for (int i = 0; i < WORDS.length; i++) {
      vocabulary.append(",\"%s\":%d".formatted(WORDS[i], i + 4));
    }
    Files.writeString(
        folder.resolve("tokenizer.json"),
        """
        {"version": "1.0", "truncation": null, "padding": null,
         "added_tokens": [{"id": 0, "content": "[PAD]", "single_word": false, "lstrip": false,
                           "rstrip": false, "normalized": false, "special": true}],
         "normalizer": {"type": "Lowercase"},
         "pre_tokenizer": {"type": "Whitespace"},
         "post_processor": {"type": "TemplateProcessing",
           "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                      {"Sequence": {"id": "A", "type_id": 0}},
                      {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
           "pair": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                    {"Sequence": {"id": "A", "type_id": 0}},
                    {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
                    {"Sequence": {"id": "B", "type_id": 1}},
                    {"SpecialToken": {"id": "[SEP]", "type_id": 1}}],
           "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
                              "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}}},
         "decoder": null,
         "model": {"type": "WordLevel", "vocab": {%s}, "unk_token": "[UNK]"}}
        """
            .formatted(vocabulary));
    return folder;
  }

  /** Two kinds of complaints, eight rows, with a header. */
  static Path rows(Path file) throws IOException {
    return Files.writeString(
        file,
        """
        text\tlabel
        the parcel came late\tdelivery
        my lamp was broken\tdelivery
        the cup never came\tdelivery
        your parcel is always late\tdelivery
        the bill is wrong\tmoney
        my sum was too high\tmoney
        the bill is too high\tmoney
        a wrong sum is never right\tmoney
        """);
  }

  static Map<String, Tensor> tensors(Path file) {
    return SafeTensors.read(file).tensors();
  }
}

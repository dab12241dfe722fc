package io.peft4j.compress.prune;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.peft4j.CheckpointFormatException;
import io.peft4j.UnsupportedModelException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * The vocabulary of a {@code tokenizer.json}: which tokens others are made of, and the file with
 * fewer of them under new ids. Kinds: WordPiece, WordLevel, BPE and Unigram.
 *
 * <p>Texts whose tokens are all kept give the same tokens as before: WordPiece takes the longest
 * known piece, Unigram the best path of known pieces, and what was longest or best still is; BPE
 * applies the first of the merges that fit, and those that were applied are kept.
 */
final class TokenizerVocabulary {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final Path file;
  private final ObjectNode root;
  private final ObjectNode model;
  private final String kind;
  private final Map<String, Integer> ids = new HashMap<>();

  private TokenizerVocabulary(Path file, ObjectNode root, ObjectNode model) {
    this.file = file;
    this.root = root;
    this.model = model;
    kind = kind(model);
  }

  /**
   * Reads a file.
   *
   * @throws UnsupportedModelException if its vocabulary is of another kind
   */
  static TokenizerVocabulary read(Path file) {
    JsonNode root;
    try {
      root = JSON.readTree(Files.readAllBytes(file));
    } catch (IOException e) {
      throw new CheckpointFormatException(
          "%s: it cannot be read as JSON: %s".formatted(file, e.getMessage()), e);
    }
    if (root instanceof ObjectNode object && object.get("model") instanceof ObjectNode model) {
      TokenizerVocabulary vocabulary = new TokenizerVocabulary(file, object, model);
      vocabulary.readIds();
      return vocabulary;
    }
    throw new CheckpointFormatException(file + ": it has no section 'model'; fetch it again");
  }

  /** Old files do not name the kind. */
  private static String kind(ObjectNode model) {
    if (model.path("type").isTextual()) {
      return model.path("type").asText();
    }
    return model.has("merges") ? "BPE" : model.path("vocab").isArray() ? "Unigram" : "WordPiece";
  }

  private void readIds() {
    JsonNode vocab = model.path("vocab");
    if (kind.equals("Unigram") && vocab.isArray()) {
      for (int id = 0; id < vocab.size(); id++) {
        ids.put(vocab.get(id).path(0).asText(), id);
      }
    } else if (List.of("WordPiece", "WordLevel", "BPE").contains(kind) && vocab.isObject()) {
      vocab.properties().forEach(entry -> ids.put(entry.getKey(), entry.getValue().asInt()));
    } else {
      throw new UnsupportedModelException(
          "%s: a vocabulary of kind %s cannot be pruned; WordPiece, WordLevel, BPE and Unigram can"
              .formatted(file, kind));
    }
    for (JsonNode added : root.path("added_tokens")) {
      ids.put(added.path("content").asText(), added.path("id").asInt());
    }
  }

  /** One more than the highest id. */
  int size() {
    return ids.values().stream().mapToInt(Integer::intValue).max().orElse(-1) + 1;
  }

  /**
   * Adds what the kept tokens cannot do without: added tokens, the unknown token, those that stand
   * for single characters that occur or are ASCII, for bytes, and those that merges pass through.
   */
  void close(BitSet kept) {
    for (JsonNode added : root.path("added_tokens")) {
      kept.set(added.path("id").asInt());
    }
    keep(kept, model.path("unk_token").asText(""));
    if (kind.equals("Unigram") && model.path("unk_id").isInt()) {
      kept.set(model.path("unk_id").asInt());
    }
    BitSet characters = characters(kept);
    ids.forEach(
        (token, id) -> {
          String piece = bare(token);
          boolean single = piece.codePointCount(0, piece.length()) == 1;
          boolean isByte = token.matches("<0x[0-9A-Fa-f]{2}>");
          if (isByte || (single && (characters.get(piece.codePointAt(0)) || byteLevel()))) {
            kept.set(id);
          }
        });
    if (kind.equals("BPE")) {
      Merges merges = merges();
      ids.forEach(
          (token, id) -> {
            if (kept.get(id)) {
              merges.passed(token).forEach(part -> keep(kept, part));
            }
          });
    }
  }

  private void keep(BitSet kept, String token) {
    Integer id = ids.get(token);
    if (id != null) {
      kept.set(id);
    }
  }

  private BitSet characters(BitSet kept) {
    BitSet characters = new BitSet();
    characters.set('!', '~' + 1);
    ids.forEach(
        (token, id) -> {
          if (kept.get(id)) {
            bare(token).codePoints().forEach(characters::set);
          }
        });
    return characters;
  }

  /** A token without the mark that it goes on a word. */
  private String bare(String token) {
    String prefix = model.path("continuing_subword_prefix").asText("");
    return !prefix.isEmpty() && token.startsWith(prefix) && token.length() > prefix.length()
        ? token.substring(prefix.length())
        : token;
  }

  /** Whether single characters stand for bytes, all of which are needed. */
  private boolean byteLevel() {
    return kind.equals("BPE")
        && (root.path("pre_tokenizer").toString().contains("\"ByteLevel\"")
            || root.path("decoder").toString().contains("\"ByteLevel\""));
  }

  private Merges merges() {
    return Merges.read(model.path("merges"), model.path("continuing_subword_prefix").asText(""));
  }

  /**
   * The file with other ids.
   *
   * @param fresh the new id of each old one, -1 for tokens that go
   */
  String renumbered(int... fresh) {
    ObjectNode copy = root.deepCopy();
    ObjectNode inner = (ObjectNode) copy.get("model");
    if (kind.equals("Unigram")) {
      ArrayNode pieces = JSON.createArrayNode();
      JsonNode vocab = model.path("vocab");
      for (int id = 0; id < vocab.size(); id++) {
        if (fresh[id] >= 0) {
          pieces.add(vocab.get(id));
        }
      }
      inner.set("vocab", pieces);
      renumber(inner, "unk_id", fresh);
    } else {
      inner.set("vocab", vocab(fresh));
    }
    if (kind.equals("BPE")) {
      inner.set("merges", merges().kept(model.path("merges"), token -> isKept(token, fresh)));
    }
    for (JsonNode added : copy.path("added_tokens")) {
      renumber((ObjectNode) added, "id", fresh);
    }
    if (copy.get("padding") instanceof ObjectNode padding) {
      renumber(padding, "pad_id", fresh);
    }
    renumberProcessor(copy.path("post_processor"), fresh);
    return copy.toString();
  }

  private boolean isKept(String token, int... fresh) {
    Integer id = ids.get(token);
    return id != null && fresh[id] >= 0;
  }

  private ObjectNode vocab(int... fresh) {
    Map<Integer, String> byId = new TreeMap<>();
    model
        .path("vocab")
        .properties()
        .forEach(
            entry -> {
              int id = fresh[entry.getValue().asInt()];
              if (id >= 0) {
                byId.put(id, entry.getKey());
              }
            });
    ObjectNode vocab = JSON.createObjectNode();
    byId.forEach((id, token) -> vocab.put(token, id));
    return vocab;
  }

  private static void renumber(ObjectNode node, String key, int... fresh) {
    if (node.path(key).isInt()) {
      node.put(key, fresh[node.path(key).asInt()]);
    }
  }

  /** Post-processors name special tokens by their ids too. */
  private static void renumberProcessor(JsonNode processor, int... fresh) {
    for (JsonNode inner : processor.path("processors")) {
      renumberProcessor(inner, fresh);
    }
    for (String key : List.of("sep", "cls")) {
      if (processor.get(key) instanceof ArrayNode pair && pair.size() == 2 && pair.get(1).isInt()) {
        pair.set(1, fresh[pair.get(1).asInt()]);
      }
    }
    for (JsonNode special : processor.path("special_tokens")) {
      if (special.get("ids") instanceof ArrayNode numbers) {
        for (int i = 0; i < numbers.size(); i++) {
          numbers.set(i, fresh[numbers.get(i).asInt()]);
        }
      }
    }
  }
}

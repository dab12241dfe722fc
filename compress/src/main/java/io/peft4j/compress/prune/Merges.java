package io.peft4j.compress.prune;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;

/** The merges of byte pair encoding, the first that fits being applied first. */
final class Merges {
  private record Pair(String left, String right) {}

  private final Map<Pair, Integer> ranks = new HashMap<>();
  private final String prefix;

  private Merges(String prefix) {
    this.prefix = prefix;
  }

  /**
   * Reads a list of merges.
   *
   * @param prefix what marks tokens that go on a word, which merging drops from the right part
   */
  static Merges read(JsonNode list, String prefix) {
    Merges merges = new Merges(prefix);
    for (JsonNode merge : list) {
      merges.ranks.putIfAbsent(pair(merge), merges.ranks.size());
    }
    return merges;
  }

  /** A merge is a pair, in older files two words with a space between. */
  private static Pair pair(JsonNode merge) {
    if (merge.isArray()) {
      return new Pair(merge.path(0).asText(), merge.path(1).asText());
    }
    String text = merge.asText();
    int space = text.indexOf(' ', 1);
    return new Pair(text.substring(0, space), text.substring(space + 1));
  }

  private String joined(Pair pair) {
    boolean marked = !prefix.isEmpty() && pair.right().startsWith(prefix);
    return pair.left() + (marked ? pair.right().substring(prefix.length()) : pair.right());
  }

  /** The parts that a token is merged from on the way, single characters included. */
  Set<String> passed(String token) {
    List<String> parts = new ArrayList<>();
    token.codePoints().mapToObj(Character::toString).forEach(parts::add);
    Set<String> passed = new LinkedHashSet<>(parts);
    while (parts.size() > 1) {
      int best = -1;
      int rank = Integer.MAX_VALUE;
      for (int i = 0; i + 1 < parts.size(); i++) {
        int found = ranks.getOrDefault(new Pair(parts.get(i), parts.get(i + 1)), Integer.MAX_VALUE);
        if (found < rank) {
          rank = found;
          best = i;
        }
      }
      if (best < 0) {
        return passed; // no merges lead to it: it stands for itself
      }
      parts.set(best, joined(new Pair(parts.get(best), parts.remove(best + 1))));
      passed.add(parts.get(best));
    }
    return passed;
  }

  /** The merges whose parts and result are all kept, in their order. */
  ArrayNode kept(JsonNode list, Predicate<String> kept) {
    ArrayNode fewer = new ObjectMapper().createArrayNode();
    for (JsonNode merge : list) {
      Pair pair = pair(merge);
      if (kept.test(pair.left()) && kept.test(pair.right()) && kept.test(joined(pair))) {
        fewer.add(merge);
      }
    }
    return fewer;
  }
}

package io.peft4j.format;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.common.hash.Hasher;
import com.google.common.hash.Hashing;
import io.peft4j.data.Dataset;
import io.peft4j.data.Example;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;

/** SHA-256 of what a model or data set holds, whatever file it came from. */
public final class ContentHash {
  private ContentHash() {}

  /** Over names, types, shapes and elements of the weights, in the order of their names. */
  public static String of(Graph graph) {
    Hasher hasher = Hashing.sha256().newHasher();
    for (String name : graph.parameters().stream().sorted().toList()) {
      Tensor tensor = graph.initializer(name);
      hasher.putString(name + tensor, UTF_8).putBytes(tensor.data());
    }
    return hasher.hash().toString();
  }

  /** Over texts and labels of the rows in order. */
  public static String of(Dataset data) {
    Hasher hasher = Hashing.sha256().newHasher();
    for (Example row : data.examples()) {
      for (String part : new String[] {row.text(), row.second(), row.label()}) {
        hasher.putUnencodedChars(part == null ? "" : part).putChar('\0');
      }
    }
    return hasher.hash().toString();
  }
}

package io.peft4j.site;

import io.peft4j.graph.Node;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** Recovers the paths of modules from what exporters leave of them. */
public final class ModulePaths {
  /**
   * Under this key torch's newer exporter lists the modules around a node, outermost first, the
   * operation last.
   */
  private static final String SCOPES = "pkg.torch.onnx.name_scopes";

  private static final Pattern QUOTED = Pattern.compile("'([^']*)'");

  private ModulePaths() {}

  /**
   * The path of the module that a node belongs to: from the scope in its name, from the exporter's
   * notes, or from the names of the weights; null if they say nothing.
   */
  public static @Nullable String of(Node node, List<String> weights) {
    if (node.name().startsWith("/") && node.name().lastIndexOf('/') > 0) {
      String scope = node.name().substring(1, node.name().lastIndexOf('/'));
      return scope.replace('/', '.');
    }
    String noted = node.metadata().get(SCOPES);
    if (noted != null) {
      Matcher names = QUOTED.matcher(noted);
      String module = "";
      String last = "";
      while (names.find()) {
        module = last;
        last = names.group(1);
      }
      if (!module.isEmpty()) {
        return module;
      }
    }
    for (String weight : weights) {
      Matcher parameter = PARAMETER.matcher(weight);
      if (parameter.matches()) {
        return parameter.group(1);
      }
    }
    return null;
  }

  /**
   * As {@link #of}, for a table of vectors: its own name comes first, since a table that modules
   * share keeps the name that the checkpoint gives it.
   */
  static @Nullable String ofTable(Node node, String table) {
    Matcher parameter = PARAMETER.matcher(table);
    return parameter.matches() ? parameter.group(1) : of(node, List.of(table));
  }

  private static final Pattern PARAMETER = Pattern.compile("(.+)\\.(weight|bias|gamma|beta)");
}

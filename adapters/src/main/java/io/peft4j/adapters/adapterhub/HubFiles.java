package io.peft4j.adapters.adapterhub;

import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapters.composition.AdapterFusion;
import io.peft4j.adapters.composition.Member;
import io.peft4j.adapters.composition.Stack;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Where the files of an adapter lie: paths in its folder, with slashes.
 *
 * @param members those of a composition, each in a folder of its name; empty for a single adapter
 * @param fusion the folder of a fusion's own files
 * @param head the folder of the head's files; empty for the adapter's own
 */
record HubFiles(List<Member> members, String fusion, String head) {

  /**
   * The places for an adapter.
   *
   * @param texts the configurations that were read with it; none for a new one
   */
  static HubFiles of(AdapterMethod method, Map<String, String> texts) {
    AdapterMethod bare = NewConfig.bare(method);
    if (bare instanceof AdapterFusion fusion) {
      String own =
          texts.keySet().stream()
              .filter(path -> path.endsWith("/" + FusionFolder.CONFIG))
              .findFirst()
              .map(path -> path.substring(0, path.indexOf('/')))
              .orElseGet(fusion::names);
      return new HubFiles(fusion.members(), own, own);
    }
    if (bare instanceof Stack stack) {
      return new HubFiles(stack.members(), "", stack.last());
    }
    return new HubFiles(List.of(), "", "");
  }

  static String in(String folder, String file) {
    return folder.isEmpty() ? file : folder + "/" + file;
  }

  /** The file of a tensor. */
  String of(AdapterTensor tensor) {
    if (FileKeys.isHead(tensor)) {
      return in(head, HeadFolder.WEIGHTS);
    }
    for (Member member : members) {
      if (member.owns(tensor)) {
        return in(member.name(), AdapterFolder.WEIGHTS);
      }
    }
    return fusion.isEmpty() ? AdapterFolder.WEIGHTS : in(fusion, FusionFolder.WEIGHTS);
  }

  /** The texts of the configurations of an adapter that was made here. */
  Map<String, String> newTexts(AttachedAdapter adapter, String baseModel) {
    AdapterMethod method = NewConfig.bare(adapter.method());
    Map<String, String> texts = new LinkedHashMap<>();
    if (members.isEmpty()) {
      texts.put(AdapterFolder.CONFIG, NewConfig.of(adapter, baseModel));
      return texts;
    }
    for (Member member : members) {
      texts.put(
          in(member.name(), AdapterFolder.CONFIG),
          NewConfig.of(adapter.base(), member.method(), member.name(), baseModel));
    }
    if (method instanceof AdapterFusion composed) {
      texts.put(
          in(fusion, FusionFolder.CONFIG),
          FusionFolder.newConfig(adapter.base(), composed, baseModel));
    }
    List<String> names = members.stream().map(Member::name).toList();
    texts.put(SetupFile.NAME, new SetupFile(method instanceof AdapterFusion, names).text());
    return texts;
  }
}

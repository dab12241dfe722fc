package io.peft4j.adapters.composition;

import io.peft4j.RecipeException;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapters.bottleneck.Bottleneck;
import io.peft4j.adapters.bottleneck.BottleneckModule;
import io.peft4j.adapters.compose.Attachment;
import io.peft4j.graph.GraphEditor;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** One of several adapters, under its own name. */
public record Member(String name, Bottleneck method) {
  /** What the names of modules of an adapter begin with, before its own name. */
  private static final List<String> KINDS =
      List.of("adapters", "invertible_adapters", "shared_parameters");

  public Member {
    if (!name.matches("[^,./\\\\]+")) { // it names modules and a folder
      throw new RecipeException(
          "the name of an adapter among others must not be empty nor hold a comma, point or slash, was '%s'; give it another (in a recipe by adapter.names)"
              .formatted(name));
    }
  }

  /** Whether a tensor is this adapter's own. */
  public boolean owns(AdapterTensor tensor) {
    return KINDS.stream().anyMatch(kind -> tensor.parameter().startsWith(kind + "." + name + "."));
  }

  /**
   * Adapters that were trained apart, as members of a composition.
   *
   * @throws RecipeException if one is no bottleneck adapter
   */
  static List<Member> of(List<AttachedAdapter> adapters) {
    List<Member> members = new ArrayList<>();
    for (AttachedAdapter adapter : adapters) {
      if (!(adapter.method() instanceof Bottleneck bottleneck)) {
        throw new RecipeException(
            "adapter '%s' is no bottleneck adapter; only those are composed"
                .formatted(adapter.name()));
      }
      members.add(new Member(adapter.name(), bottleneck));
    }
    return members;
  }

  /** A composition with the values of its members. */
  static AttachedAdapter withValues(AttachedAdapter composed, List<AttachedAdapter> members) {
    GraphEditor editor = composed.graph().edit();
    for (AttachedAdapter member : members) {
      for (AdapterTensor tensor : member.tensors()) {
        if (composed.graph().initializers().containsKey(tensor.initializer())) {
          editor.initializer(
              tensor.initializer(), member.graph().initializer(tensor.initializer()));
        }
      }
    }
    return composed.withGraph(editor.build());
  }

  /** The members of a composition, checked. */
  static List<Member> checked(List<Member> members, String composition) {
    if (members.size() < 2) {
      throw new RecipeException(
          "%s needs at least two adapters, was given %d".formatted(composition, members.size()));
    }
    Set<String> names = new HashSet<>();
    for (Member member : members) {
      if (!names.add(member.name())) {
        throw new RecipeException(
            "%s has two adapters of the name '%s'; give them others (in a recipe by adapter.names)"
                .formatted(composition, member.name()));
      }
      if (member.method().isParallel()) {
        throw new RecipeException(
            "adapter '%s' is parallel; %s takes sequential bottlenecks only"
                .formatted(member.name(), composition));
      }
    }
    return List.copyOf(members);
  }

  /** Adds the coupling of the first, as the library does, and keeps those of the others. */
  static void addCouplings(List<Member> members, List<BottleneckModule> modules, Attachment at) {
    for (int i = 0; i < members.size(); i++) {
      at.named(members.get(i).name());
      if (i == 0) {
        modules.get(i).addCoupling();
      } else {
        modules.get(i).keepCoupling();
      }
    }
  }

  /** The names joined by commas, as AdapterHub names a fusion. */
  static String names(List<Member> members) {
    return String.join(",", members.stream().map(Member::name).toList());
  }
}

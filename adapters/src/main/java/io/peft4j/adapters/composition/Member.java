package io.peft4j.adapters.composition;

import io.peft4j.RecipeException;
import io.peft4j.adapters.bottleneck.Bottleneck;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** One of several adapters, under its own name. */
public record Member(String name, Bottleneck method) {
  public Member {
    if (name.isEmpty() || name.contains(",")) {
      throw new RecipeException(
          "the name of an adapter among others must not be empty nor hold a comma, was '%s'"
              .formatted(name));
    }
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
            "%s has two adapters of the name '%s'; rename one"
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

  /** The names joined by commas, as AdapterHub names a fusion. */
  static String names(List<Member> members) {
    return String.join(",", members.stream().map(Member::name).toList());
  }
}

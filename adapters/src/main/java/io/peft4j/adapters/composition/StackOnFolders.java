package io.peft4j.adapters.composition;

import io.peft4j.RecipeException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapters.adapterhub.WithHead;
import io.peft4j.adapters.compose.ComposableMethod;
import io.peft4j.graph.Graph;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * A {@link Stack} of adapters that lie in folders and a new one on top of them. What it attaches
 * has their values and is a stack like any other.
 *
 * @param members the adapters below, from the first
 * @param top the new one
 * @param trainMembers whether those below train too, rather than the new one alone
 * @param modulesToSave modules of the model that train too
 */
record StackOnFolders(
    MemberFolders members, Member top, boolean trainMembers, List<String> modulesToSave)
    implements AdapterMethod {
  StackOnFolders {
    modulesToSave = List.copyOf(modulesToSave);
    if (members.folders().isEmpty()) {
      throw new RecipeException(
          "adapters must name the folder of each adapter below the new one, has none");
    }
    if (top.method().coupling() != null) {
      throw new RecipeException(
          "inv_adapter of the new adapter would not be used: a stack has that of its first one");
    }
  }

  @Override
  public String name() {
    return Stack.NAME;
  }

  @Override
  public List<String> notes() {
    return members.notes();
  }

  @Override
  public AttachedAdapter attach(Graph base, String adapter, long seed) {
    List<AttachedAdapter> below = members.read(base);
    List<Member> all = new ArrayList<>(Member.of(below));
    all.add(top);
    ComposableMethod whole = WithHead.of(new Stack(all), modulesToSave);
    AttachedAdapter stack = Member.withValues(whole.attach(base, top.name(), seed), below);
    return trainMembers ? stack : frozen(stack, all.subList(0, below.size()));
  }

  private static AttachedAdapter frozen(AttachedAdapter stack, List<Member> members) {
    Set<String> values = new HashSet<>();
    for (AdapterTensor tensor : stack.tensors()) {
      if (members.stream().anyMatch(member -> member.owns(tensor))) {
        values.add(tensor.initializer());
      }
    }
    return stack.withGraph(stack.graph().edit().freeze(values).build());
  }

  @Override
  public Graph merge(AttachedAdapter adapter) {
    return adapter.method().merge(adapter);
  }
}

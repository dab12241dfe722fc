package io.peft4j.adapters.composition;

import io.peft4j.RecipeException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapters.adapterhub.WithHead;
import io.peft4j.adapters.compose.ComposableMethod;
import io.peft4j.graph.Graph;
import java.util.List;

/**
 * An {@link AdapterFusion} of adapters that lie in folders. What it attaches has their values and
 * is a fusion like any other.
 *
 * @param modulesToSave modules of the model that train too
 */
record FusionOfFolders(
    MemberFolders members, Mixing mixing, boolean trainMembers, List<String> modulesToSave)
    implements AdapterMethod {
  FusionOfFolders {
    modulesToSave = List.copyOf(modulesToSave);
    if (members.folders().size() < 2) {
      throw new RecipeException(
          "adapters must name at least two folders, has %d".formatted(members.folders().size()));
    }
  }

  @Override
  public String name() {
    return AdapterFusion.NAME;
  }

  @Override
  public List<String> notes() {
    return members.notes();
  }

  @Override
  public AttachedAdapter attach(Graph base, String adapter, long seed) {
    List<AttachedAdapter> parts = members.read(base);
    AdapterFusion fusion = new AdapterFusion(Member.of(parts), mixing, trainMembers);
    ComposableMethod whole = WithHead.of(fusion, modulesToSave);
    return Member.withValues(whole.attach(base, fusion.names(), seed), parts);
  }

  @Override
  public Graph merge(AttachedAdapter adapter) {
    return adapter.method().merge(adapter);
  }
}

package io.peft4j.adapters.composition;

import com.google.common.collect.Lists;
import io.peft4j.RecipeException;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapters.bottleneck.Bottleneck;
import io.peft4j.adapters.bottleneck.BottleneckModule;
import io.peft4j.adapters.compose.Attachment;
import io.peft4j.adapters.compose.ComposableMethod;
import io.peft4j.adapters.compose.ResidualSum;
import io.peft4j.adapters.compose.TransformerLayer;
import io.peft4j.train.StepRule;
import java.util.ArrayList;
import java.util.List;

/**
 * AdapterFusion (Pfeiffer et al. 2021, arXiv 2005.00247): in every place the outputs uᵢ of several
 * adapters are mixed by attention, Σ softmaxᵢ(Q h · K uᵢ) V uᵢ + residual. The last adapter decides
 * what h and the residual are. As in the library, uᵢ is what the two layers and the scale give:
 * dropout, gate and last norm of a member are passed over, and so is {@code drop_first}.
 *
 * @param members the adapters
 * @param mixing the form of the attention
 * @param trainMembers whether the adapters train too, rather than the attention alone
 */
public record AdapterFusion(List<Member> members, Mixing mixing, boolean trainMembers)
    implements ComposableMethod, StepRule.Source {
  public static final String NAME = "fusion";

  public AdapterFusion {
    members = Member.checked(members, NAME);
    Bottleneck first = members.get(0).method();
    for (Member member : members) {
      Bottleneck method = member.method();
      boolean alike =
          method.afterAttention() == first.afterAttention()
              && method.afterFeedForward() == first.afterFeedForward()
              && method.leaveOut().equals(first.leaveOut());
      if (!alike) {
        throw new RecipeException(
            "adapter '%s' is not in the same places as '%s'; fusion mixes adapters of the same mh_adapter, output_adapter and leave_out"
                .formatted(member.name(), members.get(0).name()));
      }
    }
  }

  /**
   * Fuses adapters that were trained apart; the attention starts anew.
   *
   * @param adapters bottleneck adapters on the same model, each with a name of its own
   * @param trainMembers whether they train further
   * @throws RecipeException if they cannot be fused
   */
  public static AttachedAdapter fuse(
      List<AttachedAdapter> adapters, Mixing mixing, boolean trainMembers, long seed) {
    List<Member> members = Member.of(adapters);
    AdapterFusion fusion = new AdapterFusion(members, mixing, trainMembers);
    AttachedAdapter fused = fusion.attach(adapters.get(0).base(), fusion.names(), seed);
    return Member.withValues(fused, adapters);
  }

  @Override
  public String name() {
    return NAME;
  }

  /** The names of the adapters, joined by commas. */
  public String names() {
    return Member.names(members);
  }

  @Override
  public Depth depth() {
    return Depth.BLOCK;
  }

  @Override
  public StepRule rule(AttachedAdapter adapter) {
    return FusionRule.of(mixing, adapter);
  }

  @Override
  public void add(Attachment at) {
    List<BottleneckModule> modules = new ArrayList<>();
    for (Member member : members) {
      at.named(member.name());
      modules.add(new BottleneckModule(member.method(), at));
    }
    Bottleneck first = members.get(0).method();
    for (TransformerLayer layer : Lists.reverse(at.layers())) {
      if (!modules.get(0).isIn(layer)) {
        continue;
      }
      if (first.afterFeedForward()) {
        add(at, modules, layer, layer.afterFeedForward(), at.names().feedForward(layer));
      }
      if (first.afterAttention()) {
        add(at, modules, layer, layer.afterAttention(), at.names().attention(layer));
      }
    }
    Member.addCouplings(members, modules, at);
    if (!trainMembers) {
      at.freeze(tensor -> members.stream().anyMatch(member -> member.owns(tensor)));
    }
  }

  private void add(
      Attachment at,
      List<BottleneckModule> modules,
      TransformerLayer layer,
      ResidualSum place,
      String module) {
    at.target(place.linear().path());
    at.mark();
    BottleneckModule last = modules.get(modules.size() - 1);
    String input = last.input(place, module);
    String query = mixing.queryBeforeNorm() ? place.hidden() : input;
    String residual = last.residual(place, module);
    List<String> outputs = new ArrayList<>();
    for (int i = 0; i < members.size(); i++) {
      at.named(members.get(i).name());
      outputs.add(modules.get(i).up(layer, module, input));
      modules.get(i).keepUnused(module);
    }
    if (residual == null) {
      throw new IllegalStateException("a sequential bottleneck without residual");
    }
    at.named(names());
    String wide = at.wide(module, query, place.linear().dtype());
    String mixed = new MixingLayer(mixing, at, module, names()).add(wide, outputs, residual, layer);
    last.join(place, module, mixed);
  }
}

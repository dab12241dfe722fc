package io.peft4j.adapters.composition;

import com.google.common.collect.Lists;
import io.peft4j.RecipeException;
import io.peft4j.adapters.bottleneck.BottleneckModule;
import io.peft4j.adapters.compose.Attachment;
import io.peft4j.adapters.compose.ComposableMethod;
import io.peft4j.adapters.compose.ResidualSum;
import io.peft4j.adapters.compose.TransformerLayer;
import java.util.ArrayList;
import java.util.List;

/**
 * Adapters one behind the other, a language adapter and then a task adapter for example (MAD-X,
 * Pfeiffer et al. 2020, arXiv 2005.00052): each reads what the one before it gives.
 *
 * @param members from the first to the last
 */
public record Stack(List<Member> members) implements ComposableMethod {
  public static final String NAME = "stack";

  public Stack {
    members = Member.checked(members, NAME);
    for (Member member : members.subList(0, members.size() - 1)) {
      if (!member.method().norms().originalAfter()) {
        throw new RecipeException(
            "adapter '%s' has original_ln_after off, so that nothing joins it to the block; only the last of a stack may"
                .formatted(member.name()));
      }
    }
  }

  /** The name of the last adapter. */
  public String last() {
    return members.get(members.size() - 1).name();
  }

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public Depth depth() {
    return Depth.BLOCK;
  }

  @Override
  public void add(Attachment at) {
    List<BottleneckModule> modules = new ArrayList<>();
    for (Member member : members) {
      at.named(member.name());
      modules.add(new BottleneckModule(member.method(), at));
    }
    for (TransformerLayer layer : Lists.reverse(at.layers())) {
      ResidualSum behind = layer.afterFeedForward();
      ResidualSum between = layer.afterAttention();
      for (int i = 0; i < members.size(); i++) {
        at.named(members.get(i).name());
        if (modules.get(i).isIn(layer) && members.get(i).method().afterFeedForward()) {
          behind = modules.get(i).add(layer, behind, at.names().feedForward(layer));
        }
      }
      for (int i = 0; i < members.size(); i++) {
        at.named(members.get(i).name());
        if (modules.get(i).isIn(layer) && members.get(i).method().afterAttention()) {
          between = modules.get(i).add(layer, between, at.names().attention(layer));
        }
      }
    }
    Member.addCouplings(members, modules, at);
  }
}

package io.peft4j.adapters.composition;

import static io.peft4j.adapters.composition.FusionRecipe.SAVED;
import static io.peft4j.adapters.composition.FusionRecipe.TRAIN_MEMBERS;

import io.peft4j.RecipeException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.MethodRecipe;
import io.peft4j.adapter.MethodRecipes;
import io.peft4j.adapter.MethodSettings;
import io.peft4j.adapters.adapterhub.WithHead;
import io.peft4j.adapters.bottleneck.Bottleneck;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A stack in recipes: folders of adapters, and the settings of a new bottleneck adapter on top of
 * them.
 */
public final class StackRecipe implements MethodRecipe {
  private static final String TOP = "top";
  private static final String NAME = "name";
  private static final String TASK = "task";

  /** For ServiceLoader. */
  public StackRecipe() {}

  @Override
  public String method() {
    return Stack.NAME;
  }

  @Override
  public List<String> keys() {
    List<String> keys =
        new ArrayList<>(
            List.of(FusionRecipe.ADAPTERS, FusionRecipe.NAMES, NAME, TOP, TRAIN_MEMBERS));
    keys.addAll(MethodRecipes.named(Bottleneck.NAME).keys());
    return keys;
  }

  @Override
  public AdapterMethod read(MethodSettings settings) {
    return new StackOnFolders(
        FusionRecipe.members(settings),
        new Member(settings.text(NAME, TASK), top(settings)),
        settings.flag(TRAIN_MEMBERS, false),
        settings.texts(SAVED));
  }

  private static Bottleneck top(MethodSettings settings) {
    String form = settings.text(TOP, Bottleneck.NAME);
    AdapterMethod method =
        MethodRecipes.all().stream()
            .filter(recipe -> recipe.method().equals(form) && !form.equals(Stack.NAME))
            .findFirst()
            .map(recipe -> recipe.read(settings))
            .orElse(null);
    AdapterMethod bare = method instanceof WithHead with ? with.method() : method;
    if (bare instanceof Bottleneck bottleneck) {
      return bottleneck;
    }
    throw new RecipeException(
        "top must be a bottleneck method, as pfeiffer or houlsby, was '%s'".formatted(form));
  }

  @Override
  public boolean describes(AdapterMethod method) {
    return method instanceof StackOnFolders;
  }

  @Override
  public Map<String, @Nullable Object> write(AdapterMethod method) {
    StackOnFolders stack = (StackOnFolders) method;
    Bottleneck top = stack.top().method();
    Map<String, @Nullable Object> settings = new LinkedHashMap<>();
    FusionRecipe.put(settings, stack.members());
    settings.put(NAME, stack.top().name());
    settings.put(TOP, Bottleneck.NAME);
    settings.put(TRAIN_MEMBERS, stack.trainMembers());
    settings.putAll(MethodRecipes.of(top).write(top));
    settings.put(SAVED, stack.modulesToSave());
    return settings;
  }
}

package io.peft4j.adapters.composition;

import io.peft4j.RecipeException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.MethodRecipe;
import io.peft4j.adapter.MethodSettings;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** AdapterFusion in recipes: folders of adapters, and the attention with AdapterHub's keys. */
public final class FusionRecipe implements MethodRecipe {
  static final String ADAPTERS = "adapters";
  static final String NAMES = "names";
  static final String TRAIN_MEMBERS = "train_members";
  static final String SAVED = "modules_to_save";
  private static final String MIXING = "mixing";

  /** For ServiceLoader. */
  public FusionRecipe() {}

  @Override
  public String method() {
    return AdapterFusion.NAME;
  }

  @Override
  public List<String> keys() {
    List<String> keys = new ArrayList<>(List.of(ADAPTERS, NAMES, TRAIN_MEMBERS, SAVED, MIXING));
    keys.addAll(Mixing.DYNAMIC.fields().keySet());
    return keys;
  }

  @Override
  public AdapterMethod read(MethodSettings settings) {
    String form = settings.text(MIXING, "dynamic");
    Mixing standard =
        switch (form) {
          case "dynamic" -> Mixing.DYNAMIC;
          case "static" -> Mixing.STATIC;
          default ->
              throw new RecipeException("mixing must be dynamic or static, was '" + form + "'");
        };
    return new FusionOfFolders(
        members(settings),
        Mixing.read(settings, standard),
        settings.flag(TRAIN_MEMBERS, false),
        settings.texts(SAVED));
  }

  static MemberFolders members(MethodSettings settings) {
    return new MemberFolders(
        settings.texts(ADAPTERS).stream().map(Path::of).toList(), settings.texts(NAMES));
  }

  @Override
  public boolean describes(AdapterMethod method) {
    return method instanceof FusionOfFolders;
  }

  @Override
  public Map<String, @Nullable Object> write(AdapterMethod method) {
    FusionOfFolders fusion = (FusionOfFolders) method;
    Map<String, @Nullable Object> settings = new LinkedHashMap<>();
    put(settings, fusion.members());
    settings.put(TRAIN_MEMBERS, fusion.trainMembers());
    settings.put(SAVED, fusion.modulesToSave());
    settings.putAll(fusion.mixing().fields());
    return settings;
  }

  static void put(Map<String, @Nullable Object> settings, MemberFolders members) {
    settings.put(ADAPTERS, members.folders().stream().map(Path::toString).toList());
    settings.put(NAMES, members.names());
  }
}

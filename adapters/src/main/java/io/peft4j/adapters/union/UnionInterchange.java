package io.peft4j.adapters.union;

import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapters.adapterhub.AdapterHubInterchange;
import io.peft4j.adapters.adapterhub.Interchanges;
import io.peft4j.adapters.compose.ComposableMethod;
import io.peft4j.adapters.peft.PeftConfig;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** {@code ConfigUnion} of AdapterHub. */
public final class UnionInterchange implements AdapterHubInterchange {
  /** For ServiceLoader. */
  public UnionInterchange() {}

  @Override
  public String architecture() {
    return "union";
  }

  @Override
  public boolean writes(AdapterMethod method) {
    return method instanceof Union;
  }

  @Override
  public AdapterMethod read(PeftConfig config) {
    List<ComposableMethod> parts = new ArrayList<>();
    for (PeftConfig part : config.objects("configs")) {
      parts.add(Interchanges.composable(part));
    }
    return new Union(Union.NAME, parts);
  }

  @Override
  public Map<String, @Nullable Object> fields(AdapterMethod method) {
    Map<String, @Nullable Object> fields = new LinkedHashMap<>();
    fields.put("architecture", "union");
    fields.put("configs", ((Union) method).parts().stream().map(Interchanges::fields).toList());
    return fields;
  }
}

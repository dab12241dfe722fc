package io.peft4j.adapter;

import com.google.common.base.CaseFormat;
import com.google.common.collect.ImmutableMap;
import io.peft4j.PeftException;
import io.peft4j.RecipeException;
import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.RecordComponent;
import java.lang.reflect.Type;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Reads and writes the settings of a method that is a record: a key for each component, named like
 * it in snake case unless another name is given. What is not given has the value of a standard
 * instance. Components are int, double, boolean, String, an enum, {@link Targets}, {@code
 * List<String>}, {@code List<Integer>}, {@code Map<String, Integer>} or {@code Map<String,
 * Double>}.
 *
 * @param <T> the record
 */
public final class RecordSettings<T extends Record & AdapterMethod> {
  private static final Pattern NAME = Pattern.compile("\\w+");

  private final T standard;
  private final ImmutableMap<String, RecordComponent> keys;

  /**
   * @param standard the record with the values of what is not given
   * @param names keys that are not the component's name in snake case, by component
   */
  public RecordSettings(T standard, Map<String, String> names) {
    this.standard = standard;
    ImmutableMap.Builder<String, RecordComponent> byKey = ImmutableMap.builder();
    for (RecordComponent component : standard.getClass().getRecordComponents()) {
      byKey.put(names.getOrDefault(component.getName(), snake(component.getName())), component);
    }
    keys = byKey.buildOrThrow();
  }

  public List<String> keys() {
    return keys.keySet().asList();
  }

  public boolean describes(AdapterMethod method) {
    return standard.getClass().isInstance(method);
  }

  /** The record with these settings; its constructor checks them. */
  public T read(MethodSettings settings) {
    Object[] values =
        keys.entrySet().stream().map(e -> value(settings, e.getKey(), e.getValue())).toArray();
    Class<?>[] types =
        Arrays.stream(standard.getClass().getRecordComponents())
            .map(RecordComponent::getType)
            .toArray(Class<?>[]::new);
    try {
      @SuppressWarnings("unchecked") // the class of a T
      Constructor<T> constructor =
          (Constructor<T>) standard.getClass().getDeclaredConstructor(types);
      return constructor.newInstance(values);
    } catch (InvocationTargetException e) {
      if (e.getCause() instanceof RecipeException refused) {
        throw named(refused);
      } else if (e.getCause() instanceof PeftException refused) {
        throw refused;
      }
      throw new IllegalStateException(e.getCause());
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(e);
    }
  }

  /** A refusal of the record with its components called what the settings call them. */
  public RecipeException named(RecipeException refused) {
    String message = String.valueOf(refused.getMessage());
    String named = NAME.matcher(message).replaceAll(name -> key(name.group()));
    return named.equals(message) ? refused : new RecipeException(named, refused);
  }

  private String key(String name) {
    for (Map.Entry<String, RecordComponent> entry : keys.entrySet()) {
      String component = entry.getValue().getName();
      if (name.equals(component) || name.equals(snake(component))) {
        return entry.getKey();
      }
    }
    return name;
  }

  private static String snake(String component) {
    return CaseFormat.LOWER_CAMEL.to(CaseFormat.LOWER_UNDERSCORE, component);
  }

  private Object value(MethodSettings settings, String key, RecordComponent component) {
    Object absent = get(component, standard);
    Class<?> type = component.getType();
    if (!settings.has(key)) {
      return absent;
    } else if (type == int.class) {
      return settings.whole(key, (int) absent);
    } else if (type == double.class) {
      return settings.number(key, (double) absent);
    } else if (type == boolean.class) {
      return settings.flag(key, (boolean) absent);
    } else if (type == String.class) {
      return settings.text(key, "");
    } else if (type == Targets.class) {
      Targets given = settings.targets(key);
      return given == null ? absent : given;
    } else if (type.isEnum()) {
      return constant(settings, key, type);
    } else if (type == List.class) {
      return argument(component, 0) == Integer.class ? settings.wholes(key) : settings.texts(key);
    } else if (type == Map.class) {
      return argument(component, 1) == Integer.class
          ? settings.wholeNumbers(key)
          : settings.numbers(key);
    }
    throw new IllegalStateException("no settings are read for " + component);
  }

  private static Object constant(MethodSettings settings, String key, Class<?> type) {
    String text = settings.text(key, "");
    List<String> names = Arrays.stream(type.getEnumConstants()).map(RecordSettings::text).toList();
    int index = names.indexOf(text.toLowerCase(Locale.ROOT));
    if (index < 0) {
      throw new RecipeException(
          "%s must be one of %s, was '%s'".formatted(key, String.join(", ", names), text));
    }
    return type.getEnumConstants()[index];
  }

  private static Type argument(RecordComponent component, int index) {
    return ((ParameterizedType) component.getGenericType()).getActualTypeArguments()[index];
  }

  /** All settings of a record of this kind, as {@link #read} takes them. */
  public Map<String, @Nullable Object> write(AdapterMethod method) {
    Map<String, @Nullable Object> values = new LinkedHashMap<>();
    keys.forEach((key, component) -> values.put(key, plain(get(component, method))));
    return values;
  }

  private static Object plain(Object value) {
    if (value instanceof Targets targets) {
      return targets.plain();
    }
    return value instanceof Enum<?> ? text(value) : value;
  }

  private static String text(Object constant) {
    return ((Enum<?>) constant).name().toLowerCase(Locale.ROOT);
  }

  private static Object get(RecordComponent component, Object owner) {
    try {
      return component.getAccessor().invoke(owner);
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(e);
    }
  }
}

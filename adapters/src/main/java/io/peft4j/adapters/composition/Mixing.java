package io.peft4j.adapters.composition;

import io.peft4j.RecipeException;
import io.peft4j.adapter.MethodSettings;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * The attention of an AdapterFusion.
 *
 * @param query whether h passes a layer of its own first
 * @param key whether uᵢ does for the scores
 * @param value whether uᵢ does for the sum
 * @param queryBeforeNorm whether h is taken before the block's own sum and norm
 * @param residualBefore whether the residual is added to each uᵢ rather than to the sum
 * @param valueBeforeSoftmax whether the value layer comes before the sum rather than behind it
 * @param identityValue whether the value layer starts near the identity
 * @param regularization whether training keeps the value layers close to the identity
 * @param dropout the probability with which scores are dropped in training; negative for the
 *     model's own of its attention
 */
public record Mixing(
    boolean query,
    boolean key,
    boolean value,
    boolean queryBeforeNorm,
    boolean residualBefore,
    boolean valueBeforeSoftmax,
    boolean identityValue,
    boolean regularization,
    double dropout) {
  /** With a value layer that starts near the identity and is kept there; AdapterHub's default. */
  public static final Mixing DYNAMIC =
      new Mixing(true, true, true, false, false, true, true, true, -1);

  /** Without a value layer. */
  public static final Mixing STATIC =
      new Mixing(true, true, false, false, false, true, false, false, -1);

  public Mixing {
    if (!query && !key && !value) {
      throw new RecipeException("a fusion needs a query, key or value layer; set one");
    }
    if (!(dropout < 1)) {
      throw new RecipeException("dropout_prob must be below 1, was " + dropout);
    }
  }

  /**
   * The attention that settings ask for, under AdapterHub's keys.
   *
   * @param standard what holds where they say nothing
   */
  public static Mixing read(MethodSettings settings, Mixing standard) {
    if (settings.flag("temperature", false)) {
      throw new RecipeException(
          "temperature is not supported: it changes with every batch and is stored in no file;"
              + " leave it off");
    }
    return new Mixing(
        settings.flag("query", standard.query),
        settings.flag("key", standard.key),
        settings.flag("value", standard.value),
        settings.flag("query_before_ln", standard.queryBeforeNorm),
        settings.flag("residual_before", standard.residualBefore),
        settings.flag("value_before_softmax", standard.valueBeforeSoftmax),
        settings.flag("value_initialized", standard.identityValue),
        settings.flag("regularization", standard.regularization),
        settings.number("dropout_prob", standard.dropout));
  }

  /** The settings as {@link #read} takes them. */
  public Map<String, @Nullable Object> fields() {
    Map<String, @Nullable Object> fields = new TreeMap<>();
    fields.put("query", query);
    fields.put("key", key);
    fields.put("value", value);
    fields.put("query_before_ln", queryBeforeNorm);
    fields.put("residual_before", residualBefore);
    fields.put("value_before_softmax", valueBeforeSoftmax);
    fields.put("value_initialized", identityValue);
    fields.put("regularization", regularization);
    fields.put("dropout_prob", dropout < 0 ? null : dropout);
    fields.put("temperature", false);
    return fields;
  }
}

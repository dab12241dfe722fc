package io.peft4j.data;

import io.peft4j.PeftException;
import io.peft4j.graph.Tensor;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Tokenized text; a batch is padded to its longest row. Inputs: input_ids, attention_mask,
 * token_type_ids, labels.
 */
public final class TextBatches implements BatchSource {
  /** The input that classes go to. */
  public static final String LABELS = "labels";

  private final List<TextTokenizer.Tokens> tokens = new ArrayList<>();
  private final long[] labels;
  private final List<String> inputs;
  private final long padId;

  /**
   * Tokenizes all rows.
   *
   * @param labels the class of each row; empty if there are none
   * @param inputs the inputs of the program to fill, {@link #LABELS} among them where it is wanted
   * @throws PeftException if an input is none that text gives
   */
  public TextBatches(Dataset data, long[] labels, TextTokenizer tokenizer, List<String> inputs) {
    for (String input : inputs) {
      if (!List.of("input_ids", "attention_mask", "token_type_ids", LABELS).contains(input)) {
        throw new PeftException(
            "the model's input '%s' cannot be made from text; it needs a model with input_ids,"
                    .formatted(input)
                + " attention_mask and token_type_ids");
      }
    }
    for (Example example : data.examples()) {
      tokens.add(tokenizer.encode(example.text(), example.second()));
    }
    this.labels = labels.clone();
    this.inputs = List.copyOf(inputs);
    padId = tokenizer.padId();
  }

  @Override
  public int size() {
    return tokens.size();
  }

  @Override
  public int length(int row) {
    return tokens.get(row).ids().length;
  }

  @Override
  public long label(int row) {
    return labels.length == 0 ? -1 : labels[row];
  }

  @Override
  public Map<String, Tensor> batch(int[] rows) {
    int width = 1;
    for (int row : rows) {
      width = Math.max(width, length(row));
    }
    long[] ids = new long[rows.length * width];
    long[] mask = new long[rows.length * width];
    long[] types = new long[rows.length * width];
    long[] classes = new long[rows.length];
    java.util.Arrays.fill(ids, padId);
    for (int i = 0; i < rows.length; i++) {
      TextTokenizer.Tokens row = tokens.get(rows[i]);
      int length = row.ids().length;
      System.arraycopy(row.ids(), 0, ids, i * width, length);
      System.arraycopy(row.typeIds(), 0, types, i * width, length);
      java.util.Arrays.fill(mask, i * width, i * width + length, 1);
      classes[i] = label(rows[i]);
    }
    long[] shape = {rows.length, width};
    Map<String, Tensor> batch = new LinkedHashMap<>();
    for (String input : inputs) {
      batch.put(
          input,
          switch (input) {
            case "input_ids" -> Tensor.ofLongs(shape, ids);
            case "attention_mask" -> Tensor.ofLongs(shape, mask);
            case "token_type_ids" -> Tensor.ofLongs(shape, types);
            default -> Tensor.vector(classes);
          });
    }
    return batch;
  }
}

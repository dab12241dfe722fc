package io.peft4j.adapter;

/**
 * One trained tensor of an adapter and its place in the model, from which file formats make their
 * keys.
 *
 * @param initializer its name in the adapted graph
 * @param module path of the module that it belongs to
 * @param parameter its name within the module, for example {@code lora_A.weight}, or {@code weight}
 *     for a module saved whole
 * @param transposed whether files hold it with its two axes the other way round
 */
public record AdapterTensor(
    String initializer, String module, String parameter, boolean transposed) {
  public AdapterTensor(String initializer, String module, String parameter) {
    this(initializer, module, parameter, false);
  }
}

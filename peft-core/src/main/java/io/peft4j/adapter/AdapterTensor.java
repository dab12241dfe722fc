package io.peft4j.adapter;

/**
 * One trained tensor of an adapter and its place in the model, from which file formats make their
 * keys.
 *
 * @param initializer its name in the adapted graph
 * @param module path of the module that it belongs to; empty for none
 * @param parameter its name within the module, for example {@code lora_A.weight}, or {@code weight}
 *     for a module saved whole
 * @param transposed whether files hold it with its two axes the other way round
 * @param owner what of the adapted model it is a part of
 */
public record AdapterTensor(
    String initializer, String module, String parameter, boolean transposed, Owner owner) {

  /** What a tensor is a part of. */
  public enum Owner {
    /** The model, at a module. */
    MODEL,
    /** The whole of model and adapter, as a tensor that modules share. */
    ADAPTED_MODEL,
    /** The adapter alone, as a prompt. */
    ADAPTER
  }

  public AdapterTensor(String initializer, String module, String parameter, boolean transposed) {
    this(initializer, module, parameter, transposed, Owner.MODEL);
  }

  public AdapterTensor(String initializer, String module, String parameter) {
    this(initializer, module, parameter, false);
  }
}

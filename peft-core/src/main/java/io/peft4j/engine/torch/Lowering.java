package io.peft4j.engine.torch;

/** How one operator becomes TorchScript. */
@FunctionalInterface
interface Lowering {
  /**
   * Emits the code of a node and sets its outputs.
   *
   * @throws io.peft4j.UnsupportedModelException if this form of the operator is not supported
   */
  void lower(LoweringContext context);
}

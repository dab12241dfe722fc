package io.peft4j.compress.prune;

/**
 * How large a model is.
 *
 * @param parameters numbers that the weights hold
 * @param flops floating-point operations of matrix products and convolutions on one row
 * @param bytes of all initializers
 */
public record ModelSize(long parameters, long flops, long bytes) {}

package io.peft4j.compress.compare;

/** The 95 % confidence interval of a share. */
public record Interval(double low, double high) {}

package io.peft4j.compress.prune;

/**
 * One axis of a value of a graph.
 *
 * @param value the name of an activation or of an initializer
 * @param axis from 0
 */
record Axis(String value, int axis) {
  @Override
  public String toString() {
    return "axis " + axis + " of '" + value + "'";
  }
}

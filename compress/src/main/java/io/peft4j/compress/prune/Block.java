package io.peft4j.compress.prune;

import java.util.Map;

/** A place of a model with units of one kind, any of which can go: the neurons of one block. */
public final class Block {
  private final Structure structure;
  private final String path;
  private final int units;
  private final Map<Axis, int[]> reach;

  Block(Structure structure, String path, int units, Map<Axis, int[]> reach) {
    this.structure = structure;
    this.path = path;
    this.units = units;
    this.reach = reach;
  }

  /** What its units are. */
  public Structure structure() {
    return structure;
  }

  /** The module path, unique among blocks of one structure. */
  public String path() {
    return path;
  }

  /** How many units there are. */
  public int units() {
    return units;
  }

  /** For every axis that is cut with a unit, the unit of each entry. */
  Map<Axis, int[]> reach() {
    return reach;
  }

  @Override
  public String toString() {
    return structure.label() + " of '" + path + "' (" + units + ")";
  }
}

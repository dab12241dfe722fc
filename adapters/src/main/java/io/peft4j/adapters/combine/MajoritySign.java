package io.peft4j.adapters.combine;

import java.util.Locale;

/** What decides the sign of an entry in TIES. */
public enum MajoritySign {
  /** The sum of the entries. */
  TOTAL,
  /** How many entries have it. */
  FREQUENCY;

  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}

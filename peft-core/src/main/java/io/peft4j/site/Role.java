package io.peft4j.site;

import java.util.Locale;

/** What a linear layer does in its block. */
public enum Role {
  QUERY,
  KEY,
  VALUE,
  QUERY_KEY_VALUE,
  ATTENTION_OUTPUT,
  FEED_FORWARD_UP,
  FEED_FORWARD_GATE,
  FEED_FORWARD_DOWN,
  OUTPUT,
  OTHER;

  /** The role as reports print it, for example {@code feed-forward-up}. */
  public String label() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  public boolean isFeedForward() {
    return this == FEED_FORWARD_UP || this == FEED_FORWARD_GATE || this == FEED_FORWARD_DOWN;
  }

  public boolean isAttention() {
    return this == QUERY
        || this == KEY
        || this == VALUE
        || this == QUERY_KEY_VALUE
        || this == ATTENTION_OUTPUT;
  }
}

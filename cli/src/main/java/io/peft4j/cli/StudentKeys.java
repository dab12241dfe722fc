package io.peft4j.cli;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.common.collect.ImmutableListMultimap;
import io.peft4j.RecipeException;
import io.peft4j.compress.distill.CheckpointStudent;
import io.peft4j.compress.distill.FeedForwardStudent;
import io.peft4j.compress.distill.LayerChoice;
import io.peft4j.compress.distill.LayerStudent;
import io.peft4j.compress.distill.Student;
import io.peft4j.task.Pooling;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;

/** The section {@code student} of a recipe for distillation. */
final class StudentKeys {
  private static final String KIND = "student.kind";
  private static final String LAYERS = "layers";
  private static final String FEED_FORWARD = "feed-forward";
  private static final String CHECKPOINT = "checkpoint";
  private static final String DROPOUT = "student.dropout";
  private static final String POOLING = "student.pooling";

  private static final ImmutableListMultimap<String, String> KEYS =
      ImmutableListMultimap.<String, String>builder()
          .putAll(LAYERS, "student.layers", "student.choice", "student.pruned")
          .putAll(
              FEED_FORWARD,
              "student.table",
              "student.size",
              POOLING,
              "student.ngram_buckets",
              "student.ngram_size",
              "student.hidden",
              "student.activation",
              "student.initialisation",
              DROPOUT)
          .putAll(CHECKPOINT, "student.model", POOLING, DROPOUT)
          .build();

  private StudentKeys() {}

  static List<String> all() {
    return Stream.concat(Stream.of(KIND), KEYS.values().stream().distinct()).toList();
  }

  /**
   * The student that the keys describe.
   *
   * @throws RecipeException if the kind is unknown, or a key belongs to another kind
   */
  static Student read(RecipeKeys keys) {
    String kind = keys.text(KIND, LAYERS);
    if (!KEYS.containsKey(kind)) {
      throw new RecipeException(
          "%s: %s must be one of %s, was '%s'"
              .formatted(keys.place(KIND), KIND, String.join(", ", KEYS.keySet()), kind));
    }
    for (String key : KEYS.values()) {
      if (keys.has(key) && !KEYS.containsEntry(kind, key)) {
        throw new RecipeException(
            "%s: %s does not go with student.kind %s; remove it, or give it no value"
                .formatted(keys.place(key), key, kind));
      }
    }
    return switch (kind) {
      case LAYERS ->
          new LayerStudent(
              keys.whole("student.layers", 3),
              keys.choice("student.choice", LayerChoice.SPREAD),
              keys.number("student.pruned", 0));
      case FEED_FORWARD -> feedForward(keys);
      default ->
          new CheckpointStudent(
              Path.of(keys.required("student.model")),
              keys.choice(POOLING, Pooling.MEAN),
              keys.number(DROPOUT, 0.1));
    };
  }

  private static FeedForwardStudent feedForward(RecipeKeys keys) {
    FeedForwardStudent standard = FeedForwardStudent.standard();
    return new FeedForwardStudent(
        keys.choice("student.table", standard.table()),
        keys.whole("student.size", standard.size()),
        keys.choice(POOLING, standard.pooling()),
        keys.whole("student.ngram_buckets", standard.ngramBuckets()),
        keys.whole("student.ngram_size", standard.ngramSize()),
        keys.whole("student.hidden", standard.hidden()),
        keys.choice("student.activation", standard.activation()),
        keys.choice("student.initialisation", standard.initialisation()),
        keys.number(DROPOUT, standard.dropout()));
  }

  /** Writes a student's keys with their values. */
  static void put(ObjectNode section, Student student) {
    if (student instanceof LayerStudent layers) {
      section.put("kind", LAYERS);
      section.put("layers", layers.layers());
      section.put("choice", lower(layers.choice()));
      section.put("pruned", layers.pruned());
    } else if (student instanceof FeedForwardStudent network) {
      section.put("kind", FEED_FORWARD);
      section.put("table", lower(network.table()));
      section.put("size", network.size());
      section.put("pooling", lower(network.pooling()));
      section.put("ngram_buckets", network.ngramBuckets());
      section.put("ngram_size", network.ngramSize());
      section.put("hidden", network.hidden());
      section.put("activation", lower(network.activation()));
      section.put("initialisation", lower(network.initialisation()));
      section.put("dropout", network.dropout());
    } else if (student instanceof CheckpointStudent checkpoint) {
      section.put("kind", CHECKPOINT);
      section.put("model", checkpoint.model().toString());
      section.put("pooling", lower(checkpoint.pooling()));
      section.put("dropout", checkpoint.dropout());
    }
  }

  private static String lower(Enum<?> constant) {
    return constant.name().toLowerCase(Locale.ROOT);
  }
}

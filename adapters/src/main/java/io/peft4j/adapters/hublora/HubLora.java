package io.peft4j.adapters.hublora;

import io.peft4j.PeftException;
import io.peft4j.RecipeException;
import io.peft4j.UnsupportedModelException;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapters.compose.Attachment;
import io.peft4j.adapters.compose.ComposableMethod;
import io.peft4j.adapters.compose.TransformerLayer;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.graph.Graph;
import io.peft4j.site.LinearSite;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/**
 * A change of the outputs of linear layers.
 *
 * @param change its form
 * @param places the layers
 * @param rank r; 1 for {@link Change#SCALE}
 * @param alpha the numerator of the scale; without effect with a gate, as in the library
 * @param dropout the probability with which inputs of A are dropped in training
 * @param gating whether a gate, trained with it, decides for each row how much of it counts
 * @param start how the weights start: {@code lora}, {@code bert}, {@code ia3} or {@code vera}
 * @param leaveOut numbers of layers that are left as they are
 * @param diagonalB the start of Λb's diagonal
 * @param diagonalD the start of Λd's diagonal
 */
public record HubLora(
    Change change,
    Set<Place> places,
    int rank,
    double alpha,
    double dropout,
    boolean gating,
    String start,
    List<Integer> leaveOut,
    double diagonalB,
    double diagonalD)
    implements ComposableMethod {

  /**
   * @throws RecipeException if a value is out of its range, or two contradict each other
   */
  public HubLora {
    if (places.isEmpty()) {
      throw new RecipeException(
          "no layer is named; set selfattn_lora with attn_matrices, intermediate_lora or"
              + " output_lora");
    }
    places = Set.copyOf(places);
    leaveOut = List.copyOf(new TreeSet<>(leaveOut));
    if (rank < 1) {
      throw new RecipeException("r must be at least 1, was " + rank);
    }
    if (!Double.isFinite(alpha) || alpha == 0) {
      throw new RecipeException("alpha must be a number other than 0, was " + alpha);
    }
    Checks.number("vera_b", diagonalB);
    Checks.number("vera_d", diagonalD);
    if (!(dropout >= 0 && dropout < 1)) {
      throw new RecipeException("dropout must be from 0 to below 1, was " + dropout);
    }
    if (change == Change.SCALE && (rank != 1 || dropout != 0)) {
      throw new RecipeException(
          "composition_mode 'scale' needs r 1 and dropout 0, was given r %d and dropout %s"
              .formatted(rank, dropout));
    }
    boolean wide = places.contains(Place.UP) || places.contains(Place.DOWN);
    if (change == Change.SHARED_LOW_RANK && wide) {
      throw new RecipeException(
          "VeRA shares its matrices between layers of one size; leave out intermediate_lora and"
              + " output_lora");
    }
    switch (start) {
      case "lora", "bert", "ia3", "vera" -> {}
      default ->
          throw new RecipeException(
              "init_weights must be lora, bert, ia3 or vera, was '%s'".formatted(start));
    }
  }

  /** LoRA on queries and values, r 8, alpha 8: AdapterHub's {@code lora}. */
  public static HubLora lora() {
    return new HubLora(
        Change.LOW_RANK,
        EnumSet.of(Place.QUERY, Place.VALUE),
        8,
        8,
        0,
        false,
        "lora",
        List.of(),
        0,
        0.1);
  }

  /** (IA)³ on keys, values and the first feed-forward layer: AdapterHub's {@code ia3}. */
  public static HubLora ia3() {
    return new HubLora(
        Change.SCALE,
        EnumSet.of(Place.KEY, Place.VALUE, Place.UP),
        1,
        1,
        0,
        false,
        "ia3",
        List.of(),
        0,
        0.1);
  }

  /** VeRA on queries and values: AdapterHub's {@code vera}. */
  public static HubLora vera() {
    return new HubLora(
        Change.SHARED_LOW_RANK,
        EnumSet.of(Place.QUERY, Place.VALUE),
        8,
        8,
        0,
        false,
        "vera",
        List.of(),
        0,
        0.1);
  }

  public HubLora alpha(double newAlpha) {
    return new HubLora(
        change, places, rank, newAlpha, dropout, gating, start, leaveOut, diagonalB, diagonalD);
  }

  public HubLora rank(int newRank) {
    return new HubLora(
        change, places, newRank, alpha, dropout, gating, start, leaveOut, diagonalB, diagonalD);
  }

  public HubLora dropout(double newDropout) {
    return new HubLora(
        change, places, rank, alpha, newDropout, gating, start, leaveOut, diagonalB, diagonalD);
  }

  /** The same at other layers. */
  public HubLora at(Set<Place> newPlaces, List<Integer> newLeaveOut) {
    return new HubLora(
        change, newPlaces, rank, alpha, dropout, gating, start, newLeaveOut, diagonalB, diagonalD);
  }

  public HubLora gating(boolean on) {
    return new HubLora(
        change, places, rank, alpha, dropout, on, start, leaveOut, diagonalB, diagonalD);
  }

  @Override
  public String name() {
    return switch (change) {
      case LOW_RANK -> "hub-lora";
      case SCALE -> "hub-ia3";
      case SHARED_LOW_RANK -> "hub-vera";
    };
  }

  @Override
  public Depth depth() {
    return Depth.LINEAR;
  }

  /** The factor on what is added. */
  double scale() {
    return change == Change.SCALE ? alpha : alpha / rank;
  }

  @Override
  public void add(Attachment at) {
    LoraChange added = new LoraChange(this, at);
    for (LinearSite site : sites(at.layers())) {
      added.add(site);
    }
  }

  private List<LinearSite> sites(List<TransformerLayer> layers) {
    List<LinearSite> sites = new ArrayList<>();
    for (TransformerLayer layer : layers) {
      if (leaveOut.contains(layer.number())) {
        continue;
      }
      for (Place place : Place.values()) {
        if (places.contains(place)) {
          boolean together = layer.attention().query().equals(layer.attention().key());
          if (together && !place.matrix().isEmpty()) {
            throw new UnsupportedModelException(
                "'%s' makes queries, keys and values in one layer, which AdapterHub's lora is not supported on; take PEFT's lora"
                    .formatted(layer.attention().query().path()));
          }
          sites.add(place.in(layer));
        }
      }
    }
    return sites;
  }

  @Override
  public Graph merge(AttachedAdapter adapter) {
    if (gating) {
      throw new PeftException(
          "a gate depends on the input, so an adapter with use_gating cannot be merged; keep it"
              + " apart, or export the adapted model");
    }
    return LoraMerge.merge(this, adapter);
  }
}

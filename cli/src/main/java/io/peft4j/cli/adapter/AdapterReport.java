package io.peft4j.cli.adapter;

import io.peft4j.AdaptedModel;
import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.adapters.extract.ModelDifference;
import io.peft4j.adapters.extract.WeightChange;
import io.peft4j.format.ContentHash;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What an adapter is.
 *
 * @param parameters how many numbers its file holds
 * @param share of the model's parameters; null without a model that it fits
 * @param fits whether it loads on the model; null without one
 * @param reason why it does not fit, or why the updates are not told; empty if neither
 * @param baseSha256 the hash of the weights it was trained on; empty if its folder does not say
 * @param baseMatches whether the model has these weights; null if that is not known
 * @param targets paths of the modules that it changes, as far as they are known
 */
record AdapterReport(
    String folder,
    String format,
    String method,
    String baseModel,
    long parameters,
    @Nullable Double share,
    @Nullable Boolean fits,
    String reason,
    String baseSha256,
    @Nullable Boolean baseMatches,
    List<String> targets,
    List<Update> updates,
    Map<String, String> tensors,
    List<String> labels,
    Map<String, String> provenance) {

  /**
   * What becomes of one module.
   *
   * @param rank of LoRA; null for other methods
   * @param norm ‖ΔW‖ (Frobenius)
   * @param relative ‖ΔW‖ / ‖W‖; null without a model
   * @param biasNorm ‖Δb‖; null if the bias stays, or without a model
   */
  record Update(
      String module,
      @Nullable Integer rank,
      double norm,
      @Nullable Double relative,
      @Nullable Double biasNorm) {}

  static AdapterReport of(AdapterFiles files) {
    List<Update> updates = new ArrayList<>();
    files
        .updates()
        .forEach(
            (path, update) ->
                updates.add(new Update(path, update.rank(), update.norm(), null, null)));
    List<String> targets = List.copyOf(files.updates().keySet());
    return report(files, null, null, "", null, targets, updates);
  }

  static AdapterReport on(AdapterFiles files, PretrainedModel model) {
    String expected = files.provenance().getOrDefault("baseSha256", "");
    PretrainedModel base = model.dequantized();
    Boolean matches =
        expected.isEmpty() ? null : Boolean.valueOf(ContentHash.of(base.graph()).equals(expected));
    AdaptedModel adapted;
    try {
      adapted = model.load(files.folder());
    } catch (PeftException e) {
      AdapterReport alone = of(files);
      String reason = String.valueOf(e.getMessage());
      return report(files, null, false, reason, matches, alone.targets(), alone.updates());
    }
    List<Update> updates = new ArrayList<>();
    String reason = "";
    try {
      ModelDifference difference = ModelDifference.of(adapted.adapter());
      difference.changes().forEach(change -> updates.add(update(files, change)));
      difference.norms().forEach(change -> updates.add(update(files, change)));
    } catch (PeftException e) {
      reason = String.valueOf(e.getMessage());
    }
    double share = (double) files.parameters() / base.graph().parameterCount();
    return report(files, share, true, reason, matches, adapted.adapter().targets(), updates);
  }

  private static Update update(AdapterFiles files, WeightChange change) {
    double norm = change.update().norm();
    Double biasNorm = change.bias() == null ? null : change.biasNorm();
    return new Update(
        change.path(), files.rank(change.path()), norm, norm / change.weightNorm(), biasNorm);
  }

  private static AdapterReport report(
      AdapterFiles files,
      @Nullable Double share,
      @Nullable Boolean fits,
      String reason,
      @Nullable Boolean matches,
      List<String> targets,
      List<Update> updates) {
    return new AdapterReport(
        files.folder().toString(),
        files.format(),
        files.method(),
        files.baseModel(),
        files.parameters(),
        share,
        fits,
        reason,
        files.provenance().getOrDefault("baseSha256", ""),
        matches,
        targets,
        updates,
        files.shapes(),
        files.labels(),
        files.provenance());
  }

  String text() {
    StringBuilder text = new StringBuilder();
    line(text, "method", "%s (%s folder)".formatted(method, format));
    line(text, "base", baseModel.isEmpty() ? "not named" : baseModel);
    line(text, "parameters", share == null ? "" + parameters : sized(parameters, share));
    if (fits != null) {
      line(text, "fits", fits ? "yes" : "no: " + reason);
    }
    if (baseMatches != null) {
      line(
          text, "weights", baseMatches ? "those it was trained on" : "not those it was trained on");
    }
    if (!labels.isEmpty()) {
      line(text, "labels", String.join(", ", labels));
    }
    provenance.forEach((key, value) -> line(text, key, value));
    for (Update update : updates) {
      text.append(String.format(Locale.ROOT, "%-56s", update.module()));
      text.append(update.rank() == null ? "" : "  rank " + update.rank());
      text.append(String.format(Locale.ROOT, "  norm %.4g", update.norm()));
      Double relative = update.relative();
      text.append(
          relative == null ? "" : String.format(Locale.ROOT, " (%.2f %% of W)", 100 * relative));
      Double biasNorm = update.biasNorm();
      text.append(biasNorm == null ? "" : String.format(Locale.ROOT, "  bias norm %.4g", biasNorm));
      text.append(System.lineSeparator());
    }
    if (updates.isEmpty()) {
      tensors.forEach((key, tensor) -> line(text, key, tensor));
      if (Boolean.TRUE.equals(fits)) {
        String told =
            reason.isEmpty() ? "none: every weight stays as it is" : "not told: " + reason;
        line(text, "updates", told);
      }
    }
    return text.toString();
  }

  private static String sized(long parameters, double share) {
    return String.format(Locale.ROOT, "%d (%.3f %% of the model's)", parameters, 100 * share);
  }

  private static void line(StringBuilder text, String key, String value) {
    text.append(String.format(Locale.ROOT, "%-12s %s%n", key, value));
  }
}

package io.peft4j.compress.compare;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.function.ToDoubleFunction;

/**
 * Accuracy with its interval over a cost on a logarithmic axis, as SVG. Those that no other beats
 * in both are filled and joined by a line.
 *
 * @param costName what stands below the axis
 * @param cost what is paid; above 0
 */
record ParetoPlot(String costName, List<ComparisonRow> rows, ToDoubleFunction<ComparisonRow> cost) {
  private static final int WIDTH = 560;
  private static final int HEIGHT = 380;
  private static final int LEFT = 60;
  private static final int RIGHT = 30;
  private static final int TOP = 20;
  private static final int BOTTOM = 50;
  private static final int LABEL_HEIGHT = 15;

  /** A linear axis of pixels. */
  private record Axis(double low, double high, double from, double to) {
    double at(double value) {
      return from + (value - low) / (high - low) * (to - from);
    }
  }

  String svg() {
    Axis x = costs();
    Axis y = accuracies();
    StringBuilder svg = new StringBuilder();
    append(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\""
            + " role=\"img\" aria-label=\"accuracy over %s\" fill=\"currentColor\">%n",
        WIDTH,
        HEIGHT,
        WIDTH,
        HEIGHT,
        ComparisonPage.escape(costName));
    grid(svg, x, y);
    line(svg, x, y);
    points(svg, x, y);
    return svg.append("</svg>\n").toString();
  }

  /** Whether no other costs as little and is as accurate, and better in one. */
  boolean front(ComparisonRow row) {
    return rows.stream()
        .noneMatch(
            other ->
                cost.applyAsDouble(other) <= cost.applyAsDouble(row)
                    && other.accuracy() >= row.accuracy()
                    && (cost.applyAsDouble(other) < cost.applyAsDouble(row)
                        || other.accuracy() > row.accuracy()));
  }

  private Axis costs() {
    double low = rows.stream().mapToDouble(r -> Math.log10(cost.applyAsDouble(r))).min().orElse(0);
    double high = rows.stream().mapToDouble(r -> Math.log10(cost.applyAsDouble(r))).max().orElse(1);
    double space = Math.max(0.1, 0.12 * (high - low));
    return new Axis(low - space, high + space, LEFT, WIDTH - RIGHT);
  }

  private Axis accuracies() {
    double low = rows.stream().mapToDouble(r -> r.accuracyInterval().low()).min().orElse(0);
    double high = rows.stream().mapToDouble(r -> r.accuracyInterval().high()).max().orElse(1);
    double space = Math.max(0.005, 0.08 * (high - low));
    return new Axis(low - space, Math.min(1, high + space), HEIGHT - BOTTOM, TOP);
  }

  private void grid(StringBuilder svg, Axis x, Axis y) {
    double step = step(y.high() - y.low());
    for (double v = Math.ceil(y.low() / step) * step; v <= y.high() + 1e-9; v += step) {
      append(
          svg,
          "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#8894a0\""
              + " stroke-opacity=\".3\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s"
              + " %%</text>%n",
          LEFT,
          WIDTH - RIGHT,
          y.at(v),
          y.at(v),
          LEFT - 6,
          y.at(v) + 4,
          number(100 * v));
    }
    for (int decade = (int) Math.floor(x.low()); decade <= x.high(); decade++) {
      for (int digit : new int[] {1, 2, 5}) {
        double value = digit * Math.pow(10, decade);
        if (Math.log10(value) >= x.low() && Math.log10(value) <= x.high()) {
          append(
              svg,
              "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" stroke=\"#8894a0\""
                  + " stroke-opacity=\".3\"/><text x=\"%.1f\" y=\"%d\""
                  + " text-anchor=\"middle\">%s</text>%n",
              x.at(Math.log10(value)),
              x.at(Math.log10(value)),
              TOP,
              HEIGHT - BOTTOM,
              x.at(Math.log10(value)),
              HEIGHT - BOTTOM + 18,
              number(value));
        }
      }
    }
    append(
        svg,
        "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>%n",
        (LEFT + WIDTH - RIGHT) / 2,
        HEIGHT - 10,
        ComparisonPage.escape(costName));
  }

  private void line(StringBuilder svg, Axis x, Axis y) {
    List<ComparisonRow> front =
        rows.stream().filter(this::front).sorted(Comparator.comparingDouble(cost)).toList();
    StringBuilder points = new StringBuilder();
    for (ComparisonRow row : front) {
      append(points, "%.1f,%.1f ", px(row, x), y.at(row.accuracy()));
    }
    append(
        svg,
        "<polyline points=\"%s\" fill=\"none\" stroke=\"#1f77b4\" stroke-width=\"2\"/>%n",
        points.toString().strip());
  }

  private void points(StringBuilder svg, Axis x, Axis y) {
    List<Double> taken = new ArrayList<>();
    for (ComparisonRow row :
        rows.stream()
            .sorted(Comparator.comparingDouble(ComparisonRow::accuracy).reversed())
            .toList()) {
      double px = px(row, x);
      double py = y.at(row.accuracy());
      append(
          svg,
          "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#1f77b4\""
              + " stroke-opacity=\".5\"/>",
          px,
          px,
          y.at(row.accuracyInterval().low()),
          y.at(row.accuracyInterval().high()));
      append(
          svg,
          "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" stroke=\"#1f77b4\" stroke-width=\"2\""
              + " fill=\"%s\"/>",
          px,
          py,
          front(row) ? "#1f77b4" : "none");
      double label = py + 4;
      while (near(taken, label)) {
        label += LABEL_HEIGHT;
      }
      taken.add(label);
      boolean rightHalf = px > (LEFT + WIDTH - RIGHT) / 2.0;
      append(
          svg,
          "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>%n",
          px + (rightHalf ? -10 : 10),
          label,
          rightHalf ? "end" : "start",
          ComparisonPage.escape(row.name()));
    }
  }

  private static boolean near(List<Double> taken, double label) {
    return taken.stream().anyMatch(t -> Math.abs(t - label) < LABEL_HEIGHT);
  }

  private double px(ComparisonRow row, Axis x) {
    return x.at(Math.log10(cost.applyAsDouble(row)));
  }

  /** A step of 1, 2 or 5 times a power of ten that divides a range into 4 to 10. */
  private static double step(double range) {
    double rough = range / 8;
    double power = Math.pow(10, Math.floor(Math.log10(rough)));
    for (int digit : new int[] {1, 2, 5}) {
      if (digit * power >= rough) {
        return digit * power;
      }
    }
    return 10 * power;
  }

  private static String number(double value) {
    String text = String.format(Locale.ROOT, "%.4f", value);
    return text.replaceAll("\\.?0+$", "");
  }

  private static void append(StringBuilder to, String format, Object... values) {
    to.append(String.format(Locale.ROOT, format, values));
  }
}

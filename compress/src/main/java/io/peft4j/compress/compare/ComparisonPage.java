package io.peft4j.compress.compare;

import com.google.common.html.HtmlEscapers;
import java.util.List;

/** A comparison as one HTML page, its plots inline. */
final class ComparisonPage {
  private static final String STYLE =
      """
      body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: #1c2733; background: #fff; }
      h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
      .wide { overflow-x: auto; }
      table { border-collapse: collapse; font-variant-numeric: tabular-nums; white-space: nowrap; }
      th, td { padding: .35rem .7rem; border-bottom: 1px solid #d7dee6; text-align: right; }
      th:first-child, td:first-child { text-align: left; }
      tr.front td:first-child { font-weight: 600; }
      .plots { display: flex; flex-wrap: wrap; gap: 1.5rem; }
      svg { font: 12px system-ui, sans-serif; max-width: 100%; height: auto; }
      p.notes { color: #4a5866; white-space: pre-line; }
      @media (prefers-color-scheme: dark) {
        body { color: #e4e9ee; background: #14191f; } th, td { border-color: #333d47; }
        p.notes { color: #a5b1bd; }
      }
      """;

  private ComparisonPage() {}

  static String of(ComparisonResult result) {
    StringBuilder page = new StringBuilder();
    page.append("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.append("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    page.append("<title>peft4j: comparison</title>\n<style>\n").append(STYLE);
    page.append("</style>\n</head>\n<body>\n<h1>Comparison on ").append(escape(result.data()));
    page.append("</h1>\n<div class=\"wide\">\n<table>\n<tr>");
    List<String> header = ComparisonText.header();
    header.forEach(cell -> page.append("<th>").append(escape(cell)).append("</th>"));
    page.append("</tr>\n");
    for (ComparisonRow row : result.models()) {
      page.append(row.pareto() ? "<tr class=\"front\">" : "<tr>");
      ComparisonText.cells(row)
          .forEach(cell -> page.append("<td>").append(escape(cell)).append("</td>"));
      page.append("</tr>\n");
    }
    page.append("</table>\n</div>\n<h2>What quality costs</h2>\n<div class=\"plots\">\n");
    page.append(
        new ParetoPlot("median ms of one text", result.models(), ComparisonRow::latencyMsP50Batch1)
            .svg());
    page.append(new ParetoPlot("MB", result.models(), row -> row.bytes() / 1e6).svg());
    page.append("</div>\n<p class=\"notes\">").append(escape(ComparisonText.notes(result)));
    return page.append("</p>\n</body>\n</html>\n").toString();
  }

  static String escape(String text) {
    return HtmlEscapers.htmlEscaper().escape(text);
  }
}

package io.expertatlas.affinity.report;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.trace.files.WrittenAside;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * Builds one self-contained HTML page of sections, ECharts plots and tables. It works from a file,
 * without a network, in light and dark. All text is escaped. Mutable, not safe for several threads.
 *
 * <p>Plots are ECharts options as JSON. As JSON holds no functions and a page does not know whether
 * it is light or dark when it is written, the page resolves two kinds of strings:
 *
 * <ul>
 *   <li>under keys that name a colour: {@code $ink $muted $line $card $neutral}, the palettes
 *       {@code $series $sequential $diverging} (all colour-blind safe) and one of their colours,
 *       {@code $series.2};
 *   <li>under {@code formatter}: {@code @template} with {@code {path}} or {@code {path:format}},
 *       path into what ECharts hands to a formatter ({@code value.2}, {@code name}, {@code
 *       seriesName}, {@code data.tokens}, {@code marker}), format one of {@code int f1 f2 f3 pct
 *       pct0 times pow2 si}. For tooltips of an axis the first line is the head, the others repeat
 *       for each series.
 * </ul>
 *
 * <p>The page sets {@code <html data-plots>} to the number of plots drawn, {@code data-marks} of
 * each {@code .plot} to its number of SVG shapes (or canvas pixels, for plots of more than 4000
 * points), and {@code <html data-errors>} to what went wrong, if anything did.
 */
public final class HtmlReport {
  private static final String ECHARTS =
      "/META-INF/resources/_static/echarts/6.0.0/dist/echarts.min.js";
  private static final String PAGE = "/io/expertatlas/affinity/report/";
  private static final Pattern ID = Pattern.compile("[a-z][a-z0-9-]*");
  private static final Pattern NUMBER =
      Pattern.compile(
          "[-+\u2212]?[0-9][0-9,.\u2009 ]*(e[-+]?[0-9]+)?[ \u2009]?(%|\u00d7|x|ms|s|bits?)?");

  private final String title;
  private final String lead;
  private final StringBuilder body = new StringBuilder();
  private final List<String> headings = new ArrayList<>();
  private final Set<String> plotIds = new LinkedHashSet<>();
  private boolean inSection;

  private HtmlReport(String title, String lead) {
    this.title = title;
    this.lead = lead;
  }

  /** Starts a page with a title and one or two sentences under it. */
  public static HtmlReport titled(String title, String lead) {
    return new HtmlReport(title, lead);
  }

  /** A figure that matters: its value stands large, its label small. */
  public record Fact(String label, String value) {}

  /** Adds key figures, before the first section. */
  public HtmlReport facts(List<Fact> facts) {
    endSection();
    body.append("<dl class=\"facts\">");
    for (Fact fact : facts) {
      body.append("<div><dt>")
          .append(escape(fact.label()))
          .append("</dt><dd>")
          .append(escape(fact.value()))
          .append("</dd></div>");
    }

    body.append("</dl>\n");
    return this;
  }

  /** Starts a section; the prose explains what its plots and tables show. */
  public HtmlReport section(String heading, String prose) {
    endSection();
    headings.add(heading);
    body.append("<section id=\"section-%d\">\n<h2>".formatted(headings.size()))
        .append(escape(heading))
        .append("</h2>\n<p>")
        .append(escape(prose))
        .append("</p>\n");
    inSection = true;
    return this;
  }

  /**
   * Adds a plot to the section.
   *
   * @param id of the plot's element: lower-case letters, digits and hyphens
   * @param caption sentence under the plot
   * @param height pixels
   * @param option the ECharts option; see the class for what the page resolves in it
   * @throws IllegalArgumentException if the id is of another form or was used before
   */
  public HtmlReport plot(String id, String caption, int height, ObjectNode option) {
    if (!ID.matcher(id).matches() || !plotIds.add(id)) {
      throw new IllegalArgumentException(
          "Invalid plot id: %s, expected lower-case letters, digits and hyphens, once"
              .formatted(id));
    }

    // no '<' in the JSON: a string of the data cannot end the script element
    String json = option.toString().replace("<", "\\u003c").replace("\u2028", "\\u2028");
    body.append(
            "<figure>\n<div class=\"plot\" id=\"%s\" style=\"height:%dpx\"></div>\n"
                .formatted(id, height))
        .append("<script type=\"application/json\" id=\"%s-option\">".formatted(id))
        .append(json)
        .append("</script>\n<figcaption>")
        .append(escape(caption))
        .append("</figcaption>\n</figure>\n");
    return this;
  }

  /**
   * Adds a table to the section. Columns of numbers are set flush right.
   *
   * @throws IllegalArgumentException if a row has not as many cells as the header
   */
  public HtmlReport table(String caption, List<String> header, List<List<String>> rows) {
    for (List<String> row : rows) {
      if (row.size() != header.size()) {
        throw new IllegalArgumentException(
            "Invalid table row: %d cells, expected %d: %s"
                .formatted(row.size(), header.size(), row));
      }
    }

    boolean[] number = new boolean[header.size()];
    for (int column = 0; column < number.length; column++) {
      int at = column;
      number[column] =
          !rows.isEmpty()
              && rows.stream()
                  .map(row -> row.get(at))
                  .allMatch(cell -> cell.isEmpty() || NUMBER.matcher(cell).matches());
    }

    body.append("<div class=\"scroll\" tabindex=\"0\"><table><caption>")
        .append(escape(caption))
        .append("</caption>\n<thead>");
    row(header, "th", number);
    body.append("</thead>\n<tbody>");
    rows.forEach(row -> row(row, "td", number));
    body.append("</tbody></table></div>\n");
    return this;
  }

  private void row(List<String> cells, String tag, boolean[] number) {
    body.append("<tr>");
    for (int column = 0; column < number.length; column++) {
      body.append('<').append(tag).append(number[column] ? " class=\"number\">" : ">");
      body.append(escape(cells.get(column))).append("</").append(tag).append('>');
    }

    body.append("</tr>\n");
  }

  private void endSection() {
    if (inSection) {
      body.append("</section>\n");
      inSection = false;
    }
  }

  /**
   * Writes the page; a file that exists is replaced once the new one is complete.
   *
   * @throws IOException if it cannot be written
   */
  public void write(Path file) throws IOException {
    String page = html();
    WrittenAside.file(file, aside -> Files.writeString(aside, page));
  }

  /** The page. */
  public String html() {
    endSection();
    StringBuilder page = new StringBuilder(1 << 21);
    page.append("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n")
        .append("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n")
        .append("<meta name=\"generator\" content=\"ExpertAtlas\">\n")
        .append("<link rel=\"icon\" href=\"data:,\">\n<title>")
        .append(escape(title))
        .append("</title>\n<style>\n")
        .append(resource(PAGE + "page.css"))
        .append("</style>\n<script>\n")
        .append(resource(PAGE + "errors.js"))
        .append("</script>\n</head>\n<body>\n<header>\n<p class=\"brand\">ExpertAtlas</p>\n<h1>")
        .append(escape(title))
        .append("</h1>\n<p class=\"lead\">")
        .append(escape(lead))
        .append("</p>\n</header>\n<nav aria-label=\"Sections\">");
    for (int i = 0; i < headings.size(); i++) {
      page.append("<a href=\"#section-%d\">".formatted(i + 1))
          .append(escape(headings.get(i)))
          .append("</a> ");
    }

    page.append("</nav>\n<main>\n").append(body).append("</main>\n");
    page.append(
            "<noscript><main><section><p>The plots need JavaScript.</p></section></main></noscript>\n")
        .append("<footer>Made by ExpertAtlas. Plots: Apache ECharts 6.0.0, ")
        .append("Apache License 2.0.</footer>\n");
    if (!plotIds.isEmpty()) {
      page.append("<script>")
          .append(resource(ECHARTS))
          .append("</script>\n<script>\n")
          .append(resource(PAGE + "page.js"))
          .append("</script>\n");
    }

    return page.append("</body>\n</html>\n").toString();
  }

  private static String escape(String text) {
    return text.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace("\"", "&quot;")
        .replace("'", "&#39;");
  }

  private static String resource(String name) {
    try (InputStream in = HtmlReport.class.getResourceAsStream(name)) {
      if (in == null) {
        throw new IllegalStateException("Cannot find %s on the class path".formatted(name));
      }

      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}

package io.expertatlas.affinity.report;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.affinity.AffinityCases;
import io.expertatlas.affinity.AffinitySummary;
import io.expertatlas.affinity.AnalysisFigures;
import io.expertatlas.affinity.AnalysisPlan;
import io.expertatlas.affinity.InMemoryEstimator;
import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.affinity.TokenGroups;
import io.expertatlas.affinity.TraceAnalysis;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection;
import io.expertatlas.trace.synthetic.SyntheticTrace;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class HtmlReportTest {
  private static final String EVIL =
      "</script><script>throw 1</script><img src=x onerror=alert(1)> & \"'";
  @TempDir private Path home;

  private static ObjectNode bars(String name) {
    ObjectNode option = Options.object();
    option.putObject("xAxis").put("type", "category").putArray("data").add(name).add("b").add("c");
    option.putObject("yAxis");
    option.putObject("tooltip").put("formatter", "@{name}: {value:int}");
    ObjectNode series = option.putArray("series").addObject();
    series.put("type", "bar").put("name", name).putArray("data").add(1).add(2).add(3);
    return option;
  }

  private static HtmlReport affinity(RoutingTrace trace, String name) {
    RouteCounts counts = AffinityCases.count(trace);
    return AffinityReport.of(counts, AffinitySummary.of(counts, name, TokenSelection.ALL, 1));
  }

  @ParameterizedTest(name = "{0} x {1}, top-{2}, {3} tokens")
  @CsvSource({"12,8,2,2000", "2,1,1,10", "3,300,2,500", "61,256,8,300"})
  void everyPlotIsDrawnInABrowser(int layers, int experts, int topK, int tokens)
      throws IOException {
    BrowserCheck browser = BrowserCheck.ofThisMachine();
    Path page = home.resolve("report.html");
    ModelShape shape = new ModelShape(layers, experts, topK);

    affinity(SyntheticTrace.draw(shape, tokens, 50, 0.5, 1), "trace.npy").write(page);

    browser
        .open(page)
        .hasPlots("popularity", "load", "mutual-information", "certainty", "transitions");
  }

  @ParameterizedTest(name = "{0} x {1}, top-{2}, {3} tokens")
  @CsvSource({"61,256,8,240,1", "3,8,2,900,2", "1,1,1,40,1"})
  void theWholeAnalysisIsDrawn(int layers, int experts, int topK, int tokens, int window)
      throws IOException {
    BrowserCheck browser = BrowserCheck.ofThisMachine();
    Path page = home.resolve("report.html");
    RoutingTrace trace =
        SyntheticTrace.draw(new ModelShape(layers, experts, topK), tokens, 80, 0.5, 1);
    AnalysisPlan plan =
        new AnalysisPlan(
            window, layers > 2 ? List.of(1, 2) : List.of(), true, TokenGroups.SEQUENCE);
    TraceAnalysis analysis = InMemoryEstimator.analyze(AffinityCases.reader(trace, 99), plan);
    AffinitySummary summary = AffinitySummary.of(analysis.counts(), "t", TokenSelection.ALL, 1);

    AffinityReport.of(AnalysisFigures.of(analysis, summary, List.of(), 0.3)).write(page);

    List<String> plots =
        new ArrayList<>(
            List.of(
                "popularity",
                "load",
                "drift",
                "drift-layers",
                "load-windows",
                "cache",
                "cache-layers",
                "reuse",
                "overlap"));
    if (analysis.groups().size() > 1) {
      plots.add("group-popularity");
    }

    if (layers > 2) {
      plots.addAll(
          List.of("mutual-information", "certainty", "transitions", "lags", "group-transitions"));
    }

    browser.open(page).hasPlots(plots.toArray(String[]::new));
  }

  @Test
  void modelsOfOneLayerAndEmptyTracesHaveTheirPages() throws IOException {
    BrowserCheck browser = BrowserCheck.ofThisMachine();
    Path oneLayer = home.resolve("one-layer.html");
    Path empty = home.resolve("empty.html");

    affinity(SyntheticTrace.draw(new ModelShape(1, 4, 2), 40, 50, 0.5, 1), "t").write(oneLayer);
    affinity(RoutingTrace.ofExperts(new ModelShape(1, 4, 2), new short[0]), "t").write(empty);

    browser.open(oneLayer).hasPlots("popularity", "load");
    browser.open(empty).hasPlots("popularity", "load");
  }

  @Test
  void textAndDataCannotLeaveTheirPlace() throws IOException {
    BrowserCheck browser = BrowserCheck.ofThisMachine();
    Path page = home.resolve("page.html");
    HtmlReport.titled(EVIL, EVIL)
        .facts(List.of(new HtmlReport.Fact(EVIL, EVIL)))
        .section(EVIL, EVIL)
        .plot("bars", EVIL, 200, bars(EVIL))
        .table(EVIL, List.of(EVIL), List.of(List.of(EVIL)))
        .write(page);

    BrowserCheck.Page opened = browser.open(page).hasPlots("bars");

    assertThat(opened.dom().substring(0, opened.dom().indexOf("</footer>"))).doesNotContain("<img");
  }

  @Test
  void aPageThatFailsSaysSo() throws IOException {
    BrowserCheck browser = BrowserCheck.ofThisMachine();
    Path page = home.resolve("page.html");
    ObjectNode broken = bars("a");
    broken.putArray("series").addObject().put("type", "bar").put("xAxisIndex", 9);
    HtmlReport.titled("t", "l").section("s", "p").plot("bars", "c", 200, broken).write(page);

    assertThatThrownBy(() -> browser.open(page).hasPlots("bars"))
        .isInstanceOf(AssertionError.class);
  }

  @Test
  void screenshotsAreTakenLightAndDark() throws IOException {
    BrowserCheck browser = BrowserCheck.ofThisMachine();
    Path page = home.resolve("page.html");
    HtmlReport.titled("t", "l").section("s", "p").plot("bars", "c", 200, bars("a")).write(page);

    browser.screenshot(page, home.resolve("light.png"), 600, 500, false);
    browser.screenshot(page, home.resolve("dark.png"), 600, 500, true);

    assertThat(Files.readAllBytes(home.resolve("light.png")))
        .isNotEqualTo(Files.readAllBytes(home.resolve("dark.png")));
  }

  @Test
  void thePageIsSelfContained() {
    String page = affinity(SyntheticTrace.draw(new ModelShape(2, 4, 1), 9, 5, 0.5, 1), "t").html();

    // the plot library's own code holds snippets of HTML, which it does not load
    assertThat(page.substring(0, page.indexOf("</footer>")))
        .doesNotContainPattern("<(script|link|img)[^>]+(src|href)=\"(?!data:)");
  }

  @Test
  void plotIdsAndRowsAreChecked() {
    HtmlReport page = HtmlReport.titled("t", "l").section("s", "p").plot("a", "c", 9, bars("a"));

    assertThatThrownBy(() -> page.plot("a", "c", 9, bars("a")))
        .hasMessage("Invalid plot id: a, expected lower-case letters, digits and hyphens, once");
    assertThatThrownBy(() -> page.plot("A b", "c", 9, bars("a"))).hasMessageContaining("A b");
    assertThatThrownBy(() -> page.table("c", List.of("x", "y"), List.of(List.of("1"))))
        .hasMessage("Invalid table row: 1 cells, expected 2: [1]");
  }
}

package io.expertatlas.placement.report;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.affinity.report.BrowserCheck;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.solver.Front;
import io.expertatlas.placement.solver.Front.Costs;
import io.expertatlas.placement.solver.Front.Point;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FrontPageTest {
  @TempDir private Path folder;

  private static Front front(String name, Objective capped, double scale) {
    return new Front(
        name,
        Objective.HOPS,
        capped,
        new Costs(17.7 * scale, 17.7 * scale, 3.02, 0, 1.16, 1.46),
        List.of(
            point(1.05, 7.6 * scale, 1.05, 6.6 * scale, 1),
            point(1.2, 7.2 * scale, 1.18, 6.2 * scale, 2),
            point(Double.POSITIVE_INFINITY, 6.1 * scale, 1.61, 5.58 * scale, 3)));
  }

  private static Point point(double cap, double hops, double load, double bound, int number) {
    return new Point(
        cap,
        new Costs(hops, hops, 2.1, 0, load, load + 0.1),
        bound,
        10,
        "point-" + number + ".json");
  }

  @Test
  void oneFrontIsDrawnWithItsBound() throws Exception {
    Path file = folder.resolve("front.html");
    FrontPage.of(List.of(front("<b>gpt</b>", Objective.LOAD, 1))).write(file);
    assertThat(java.nio.file.Files.readString(file))
        .contains(
            "Hops against load",
            "&lt;b&gt;gpt&lt;/b&gt;",
            "point-3.json",
            "<td class=\"number\">6.1000</td>",
            ">8.5 %</td>")
        .doesNotContain("<b>gpt");
  }

  @Test
  void theCurvesAreDrawn() throws Exception {
    BrowserCheck browser = BrowserCheck.ofThisMachine();
    Path file = folder.resolve("fronts.html");
    FrontPage.of(List.of(front("a", Objective.LOAD, 1), front("b", Objective.LOAD, 0.5)))
        .write(file);
    browser.open(file).hasPlots("front");
    if (System.getProperty("shot") != null) {
      browser.screenshot(file, Path.of(System.getProperty("shot")), 1200, 1400, false);
    }
  }

  @Test
  void severalFrontsShareOnePlotInPercentOfBlocks() throws Exception {
    Path file = folder.resolve("fronts.html");
    FrontPage.of(List.of(front("a", Objective.LOAD, 1), front("b", Objective.LOAD, 0.5)))
        .write(file);
    String page = java.nio.file.Files.readString(file);
    assertThat(page)
        .contains("% of contiguous blocks", "\"b, bound\"", "[1.61,34.463277,\"none\"]");
  }

  @Test
  void frontsOfOtherObjectivesDoNotGoTogether() {
    assertThatThrownBy(
            () ->
                FrontPage.of(
                    List.of(front("a", Objective.LOAD, 1), front("b", Objective.FANOUT, 1))))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "Cannot draw fronts together: a trades hops for load, b trades hops for fanout");
    assertThatThrownBy(() -> FrontPage.of(List.of()))
        .hasMessage("Cannot draw fronts: there is none");
  }
}

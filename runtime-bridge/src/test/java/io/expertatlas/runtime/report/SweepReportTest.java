package io.expertatlas.runtime.report;

import static org.assertj.core.api.Assertions.assertThat;

import io.expertatlas.affinity.report.BrowserCheck;
import io.expertatlas.runtime.Timeline;
import io.expertatlas.runtime.Timeline.Span;
import io.expertatlas.runtime.pipeline.PipelineKind;
import io.expertatlas.runtime.sim.PaperClaims;
import io.expertatlas.runtime.sim.SweepPoint;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SweepReportTest {
  @TempDir private Path folder;

  private static void pair(
      List<SweepPoint> points, String model, double skew, double mobius, double ours) {
    points.add(new SweepPoint(model, skew, "C1+G2", 4, 128, PipelineKind.MOBIUS, mobius));
    points.add(new SweepPoint(model, skew, "C1+G2", 4, 128, PipelineKind.APTMOE, ours));
    points.add(new SweepPoint(model, skew, "C1+G2", 4, 128, PipelineKind.GPIPE, Double.NaN));
  }

  @Test
  void claimsAndGainsAreShown() throws Exception {
    List<SweepPoint> points = new ArrayList<>();
    pair(points, "S-16", 0.3, 2, 1.6);
    pair(points, "S-16", 0.4, 2, 1.5);
    Path file = folder.resolve("sweep.html");
    SweepReport.of(points, PaperClaims.of(points), "<m>", "equation-1", 0.85).write(file);
    assertThat(Files.readString(file))
        .contains(
            "on &lt;m&gt;",
            "<td>Gain over Mobius, S-16, skew 0.4, C1+G2</td>",
            "+33.3 %",
            "[0.3,25.0],[0.4,33.33]",
            "3 of 3");
    BrowserCheck.ofThisMachine().open(file).hasPlots("gain-s-16");
  }

  @Test
  void barsThatAlmostTouchAreDrawnAsOne() {
    List<Span> spans = new ArrayList<>();
    for (int i = 0; i < 50_000; i++) {
      spans.add(new Span(0, "gpu", "work " + i, 10L * i, 10L * i + 5));
    }

    spans.add(new Span(1, "load", "alone", 0, 7));
    TimelinePlot plot = new TimelinePlot(new Timeline(spans), List.of("gpu", "load"));
    String option = plot.option().toString();
    assertThat(option).hasSizeLessThan(2_000_000).contains("work 0 and more", "\"alone\"");
    assertThat(plot.option().get("yAxis").get("data").toString())
        .isEqualTo("[\"GPU 0 gpu\",\"GPU 1 load\"]");
  }
}

package io.expertatlas.placement.report;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.affinity.InMemoryEstimator;
import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.affinity.report.BrowserCheck;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.Topology;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.synthetic.SyntheticTrace;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PlacementReportTest {
  @TempDir private Path folder;

  /** A trace of one batch. */
  private static final class OneBatch implements TraceReader {
    private final RoutingTrace trace;
    private boolean read;

    OneBatch(RoutingTrace trace) {
      this.trace = trace;
    }

    @Override
    public ModelShape shape() {
      return trace.shape();
    }

    @Override
    public long tokens() {
      return trace.tokens();
    }

    @Override
    public boolean hasWeights() {
      return trace.hasWeights();
    }

    @Override
    public Optional<RoutingTrace> next() {
      boolean first = !read;
      read = true;
      return first && trace.tokens() > 0 ? Optional.of(trace) : Optional.empty();
    }

    @Override
    public void close() {}
  }

  private static RouteCounts counts(ModelShape shape) {
    return InMemoryEstimator.count(new OneBatch(SyntheticTrace.draw(shape, 800, 50, 0.7, 11)));
  }

  private static ScoredPlacement shuffled(RouteCounts counts, Topology topology, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int[][] gpu = new int[counts.shape().layers()][counts.shape().experts()];
    for (int[] layer : gpu) {
      for (int i = 0; i < layer.length; i++) {
        int j = random.nextInt(i + 1);
        layer[i] = layer[j];
        layer[j] = i % topology.gpus();
      }
    }

    Placement placement = new Placement(topology, gpu);
    return new ScoredPlacement("seed " + seed, placement, PlacementCost.of(counts, placement));
  }

  private static List<ScoredPlacement> placements(
      RouteCounts counts, Topology topology, int count) {
    List<ScoredPlacement> placements = new ArrayList<>();
    for (int seed = 0; seed < count; seed++) {
      placements.add(shuffled(counts, topology, seed));
    }

    // the worst first: there is something to gain over the reference
    placements.sort(
        Comparator.comparingLong((ScoredPlacement scored) -> scored.cost().hops()).reversed());
    return placements;
  }

  @Test
  void theFlowCountsEveryStepOnceAndItsStaysAreTheMissingCrossings() {
    RouteCounts counts = counts(new ModelShape(5, 8, 2));
    ScoredPlacement scored = shuffled(counts, new Topology(2, 2), 3);

    ExpertFlow flow = ExpertFlow.of(counts.transitions(), scored.placement());

    long steps = 0;
    for (int from = 0; from < 4; from++) {
      for (int to = 0; to < 4; to++) {
        steps += flow.tokens(from, to);
      }
    }

    assertThat(steps).isEqualTo(4 * counts.tokens());
    assertThat(Math.round(steps * (1 - flow.stayShare()))).isEqualTo(scored.cost().crossings());
  }

  @Test
  void everyPlotIsDrawnInABrowser() throws Exception {
    BrowserCheck browser = BrowserCheck.ofThisMachine();
    RouteCounts counts = counts(new ModelShape(6, 8, 2));
    Path page = folder.resolve("report.html");

    PlacementReport.of("the trace <of> a test", counts, placements(counts, new Topology(2, 2), 3))
        .write(page);

    browser
        .open(page)
        .hasPlots("hops", "flow-before", "flow-after", "gpu-load", "popularity", "transitions");
    if (System.getProperty("shot") != null) {
      browser.screenshot(page, Path.of(System.getProperty("shot")), 1200, 4200, false);
    }
  }

  @Test
  void largeClustersShowTheFlowAsAMatrix() throws Exception {
    BrowserCheck browser = BrowserCheck.ofThisMachine();
    RouteCounts counts = counts(new ModelShape(4, 32, 4));
    Path page = folder.resolve("report.html");

    PlacementReport.of("a test", counts, placements(counts, new Topology(2, 8), 2)).write(page);

    browser
        .open(page)
        .hasPlots("hops", "flow-before", "flow-after", "gpu-load", "popularity", "transitions");
  }

  @Test
  void aModelOfOneLayerHasNoFlow() {
    RouteCounts counts = counts(new ModelShape(1, 8, 2));

    String html =
        PlacementReport.of("a test", counts, placements(counts, new Topology(1, 4), 1)).html();

    assertThat(html).contains("id=\"gpu-load\"").doesNotContain("flow-before");
  }

  @Test
  void withoutPlacementsThereIsNoPage() {
    RouteCounts counts = counts(new ModelShape(2, 8, 2));

    assertThatThrownBy(() -> PlacementReport.of("a test", counts, List.of()))
        .hasMessage("Cannot report on placements: there is none");
  }
}

package io.expertatlas.affinity;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.trace.Cases;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.synthetic.SyntheticTrace;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.IntPredicate;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class AnalysisCounterTest {
  static Stream<Long> seeds() {
    return Cases.seeded(60);
  }

  private static AnalysisPlan plan(ModelShape shape, long window, TokenGroups groups) {
    List<Integer> lags = new ArrayList<>();
    for (int lag = 1; lag < shape.layers(); lag++) {
      lags.add(lag);
    }

    return new AnalysisPlan(window, lags, true, groups);
  }

  /** Sequences of odd lengths, some of them interrupted by others. */
  private static RoutingTrace trace(long seed) {
    RoutingTrace drawn = AffinityCases.trace(seed);
    SplittableRandom random = new SplittableRandom(seed);
    ModelShape shape = drawn.shape();
    short[] experts = new short[drawn.tokens() * shape.choicesPerToken()];
    int[] sequence = new int[drawn.tokens()];
    byte[] phase = new byte[drawn.tokens()];
    int at = 0;
    for (int t = 0; t < sequence.length; t++) {
      sequence[t] = t > 0 && random.nextInt(30) > 0 ? sequence[t - 1] : random.nextInt(4);
      phase[t] = (byte) random.nextInt(2);
      for (int choice = 0; choice < shape.choicesPerToken(); choice++) {
        experts[at++] = (short) drawn.expert(t, choice / shape.topK(), choice % shape.topK());
      }
    }

    return RoutingTrace.of(shape, experts, new float[0], sequence, new int[sequence.length], phase);
  }

  private static AnalysisCounter copy(AnalysisCounter counter)
      throws IOException, ClassNotFoundException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
      out.writeObject(counter);
    }

    try (ObjectInputStream in =
        new ObjectInputStream(new ByteArrayInputStream(bytes.toByteArray()))) {
      return (AnalysisCounter) in.readObject();
    }
  }

  /** Counts pieces apart, sends them as bytes and merges them in a random order. */
  private static TraceAnalysis inPieces(
      RoutingTrace trace, long first, AnalysisPlan plan, IntPredicate kept, SplittableRandom random)
      throws IOException, ClassNotFoundException {
    List<AnalysisCounter> counters = new ArrayList<>();
    counters.add(new AnalysisCounter(trace.shape(), plan, first));
    List<Integer> cuts = new ArrayList<>(List.of(0));
    while (cuts.get(cuts.size() - 1) < trace.tokens()) {
      int last = cuts.get(cuts.size() - 1);
      cuts.add(Math.min(trace.tokens(), last + 1 + random.nextInt(25)));
    }

    for (int i = 1; i < cuts.size(); i++) {
      // a task may hold several stretches, not in their order
      AnalysisCounter counter =
          random.nextBoolean()
              ? new AnalysisCounter(trace.shape(), plan, first)
              : counters.remove(random.nextInt(counters.size()));
      counter.add(first + cuts.get(i - 1), trace.slice(cuts.get(i - 1), cuts.get(i)), kept);
      counters.add(copy(counter));
    }

    while (counters.size() > 1) {
      AnalysisCounter one = counters.remove(random.nextInt(counters.size()));
      AnalysisCounter two = counters.remove(random.nextInt(counters.size()));
      counters.add(copy(one.merge(two)));
    }

    return counters.get(0).finish();
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("seeds")
  void anyCutOfTheTraceCountsAsTheObviousTwins(long seed) throws Exception {
    RoutingTrace trace = trace(seed);
    SplittableRandom random = new SplittableRandom(~seed);
    long first = seed % 3 == 0 ? 0 : Locality.RUN_TOKENS - 50;
    long window = 1 + random.nextInt(60);
    IntPredicate kept = seed % 4 == 0 ? sequence -> sequence != 1 : sequence -> true;
    RoutingTrace selected = trace.select(t -> kept.test(trace.sequence(t)));

    AnalysisPart whole =
        inPieces(trace, first, plan(trace.shape(), window, TokenGroups.NONE), kept, random).whole();

    assertThat(whole.counts()).isEqualTo(AffinityCases.count(selected));
    assertLags(whole.lags(), selected);
    assertWindows(whole.windows(), trace, window, kept);
    assertLocality(whole.locality(), new ObviousLocality(trace, first, kept), selected);
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("seeds")
  void groupsAreTheAnalysesOfTheirTokens(long seed) throws Exception {
    RoutingTrace trace = trace(seed);
    SplittableRandom random = new SplittableRandom(~seed);
    TokenGroups groups = seed % 2 == 0 ? TokenGroups.SEQUENCE : TokenGroups.PHASE;
    AnalysisPlan plan = plan(trace.shape(), 20, groups);
    AnalysisPlan ungrouped = plan(trace.shape(), 20, TokenGroups.NONE);

    TraceAnalysis split = inPieces(trace, 0, plan, sequence -> true, random);

    assertThat(split.whole())
        .isEqualTo(inPieces(trace, 0, ungrouped, sequence -> true, random).whole());
    long tokens = 0;
    for (AnalysisPart group : split.groups()) {
      RoutingTrace own = trace.select(t -> nameOf(groups, trace, t).equals(group.name()));
      tokens += own.tokens();
      assertThat(group.counts()).isEqualTo(AffinityCases.count(own));
      assertLags(group.lags(), own);
      assertThat(group.locality().tokens()).isEqualTo(own.tokens());
      if (groups == TokenGroups.SEQUENCE) { // whole runs; within a phase they are interrupted
        int id = Integer.parseInt(group.name());
        assertLocality(group.locality(), new ObviousLocality(trace, 0, s -> s == id), own);
      }
    }

    assertThat(tokens).isEqualTo(trace.tokens());
  }

  private static String nameOf(TokenGroups groups, RoutingTrace trace, int token) {
    return groups.name(groups.of(trace.sequence(token), trace.phase(token).code()));
  }

  private static void assertLags(List<LagTransitions> lags, RoutingTrace trace) {
    ModelShape shape = trace.shape();
    assertThat(lags).hasSize(shape.layers() - 1);
    for (LagTransitions lag : lags) {
      long[] counts = new long[lag.starts() * shape.experts() * shape.experts()];
      for (int t = 0; t < trace.tokens(); t++) {
        for (int start = 0; start < lag.starts(); start++) {
          int from = trace.expert(t, start, 0);
          int to = trace.expert(t, start + lag.lag(), 0);
          counts[(start * shape.experts() + from) * shape.experts() + to]++;
        }
      }

      assertThat(lag).isEqualTo(new LagTransitions(shape, lag.lag(), counts));
    }
  }

  private static void assertWindows(
      WindowCounts windows, RoutingTrace trace, long length, IntPredicate kept) {
    List<WindowCounts.Window> expected = new ArrayList<>();
    for (int from = 0; from < trace.tokens(); from += (int) length) {
      RoutingTrace part = trace.slice(from, (int) Math.min(trace.tokens(), from + length));
      RoutingTrace own = part.select(t -> kept.test(part.sequence(t)));
      if (own.tokens() > 0) {
        expected.add(
            new WindowCounts.Window(
                from / length, own.tokens(), AffinityCases.count(own).popularity()));
      }
    }

    assertThat(windows.length()).isEqualTo(length);
    assertThat(windows.windows()).hasSameSizeAs(expected);
    for (int w = 0; w < expected.size(); w++) {
      assertThat(windows.windows().get(w).index()).isEqualTo(expected.get(w).index());
      assertThat(windows.windows().get(w).tokens()).isEqualTo(expected.get(w).tokens());
      assertThat(windows.windows().get(w).popularity()).isEqualTo(expected.get(w).popularity());
    }
  }

  private static void assertLocality(Locality found, ObviousLocality expected, RoutingTrace trace) {
    ModelShape shape = trace.shape();
    assertThat(found.tokens()).isEqualTo(trace.tokens());
    assertThat(found.runs()).isEqualTo(expected.runs());
    assertThat(found.pairs()).isEqualTo(trace.tokens() - expected.runs());
    for (int layer = 0; layer < shape.layers(); layer++) {
      assertThat(found.firstUses(layer)).isEqualTo(expected.firstUses(layer));
      for (int shared = 0; shared <= shape.topK(); shared++) {
        assertThat(found.kept(layer, shared)).isEqualTo(expected.kept(layer, shared));
      }

      for (int bin = 0; bin < 8; bin++) {
        assertThat(found.reuses(layer, bin)).isEqualTo(expected.reuses(layer, bin));
      }

      for (int capacity = 0; capacity <= shape.experts(); capacity += 1 + capacity / 6) {
        for (CachePolicy policy : CachePolicy.values()) {
          assertThat(found.hits(policy, layer, capacity))
              .as("%s, layer %d, capacity %d", policy, layer, capacity)
              .isEqualTo(expected.hits(policy, layer, capacity));
        }
      }
    }
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("seeds")
  void foldsHoldTheSequencesDealtToThem(long seed) throws Exception {
    RoutingTrace trace = trace(seed);
    SplittableRandom random = new SplittableRandom(seed + 5);
    IntPredicate kept = seed % 4 == 0 ? sequence -> sequence != 1 : sequence -> true;
    AnalysisPlan plain = AnalysisPlan.PLAIN.withFolds(2 + random.nextInt(4));
    AnalysisPlan full = plan(trace.shape(), 7, TokenGroups.SEQUENCE).withFolds(plain.folds());

    for (AnalysisPlan plan : List.of(plain, full)) {
      TraceAnalysis found = inPieces(trace, 0, plan, kept, random);

      assertThat(found.folds()).hasSize(plan.folds());
      for (int fold = 0; fold < plan.folds(); fold++) {
        int own = fold;
        RoutingTrace dealt =
            trace.select(t -> kept.test(trace.sequence(t)) && plan.fold(trace.sequence(t)) == own);
        assertThat(found.folds().get(fold)).isEqualTo(AffinityCases.count(dealt));
      }

      RoutingTrace selected = trace.select(t -> kept.test(trace.sequence(t)));
      assertThat(found.counts()).isEqualTo(AffinityCases.count(selected));
      assertThat(CountsMixture.sum(found.folds())).isEqualTo(found.counts());
    }
  }

  @Test
  void sequencesAreDealtEvenlyWhateverThePatternOfTheirIds() {
    AnalysisPlan plan = AnalysisPlan.PLAIN.withFolds(4);
    for (int stride : new int[] {1, 2, 4, 10, 1000}) {
      int[] dealt = new int[4];
      for (int i = 0; i < 4000; i++) {
        dealt[plan.fold(i * stride)]++;
      }

      for (int count : dealt) {
        assertThat(count).as("stride %d", stride).isBetween(880, 1120);
      }
    }
  }

  @Test
  void longSequencesAreCutAtBlocksOfTheirTokens() throws Exception {
    RoutingTrace trace =
        SyntheticTrace.draw(new ModelShape(1, 3, 1), 2 * Locality.RUN_TOKENS + 9, 1 << 30, 0, 1);
    AnalysisPlan plan = new AnalysisPlan(0, List.of(), true, TokenGroups.NONE);

    Locality locality =
        inPieces(trace, 5, plan, sequence -> true, new SplittableRandom(1)).whole().locality();

    assertThat(locality.runs()).isEqualTo(3);
    assertThat(locality.firstUses(0)).isEqualTo(9);
    assertThat(locality.hits(CachePolicy.LRU, 0, 3)).isEqualTo(trace.tokens() - 9);
  }

  @Test
  void whatDoesNotFitTheModelIsRefused() {
    ModelShape shape = new ModelShape(3, 4, 1);
    assertThatThrownBy(() -> new AnalysisPlan(-1, List.of(), false, TokenGroups.NONE))
        .hasMessage("Invalid window: -1 tokens, at least 1");
    assertThatThrownBy(() -> AnalysisPlan.PLAIN.withFolds(1))
        .hasMessage("Invalid number of folds: 1, 0 or 2 to 64");
    assertThatThrownBy(() -> AnalysisPlan.PLAIN.withFolds(65))
        .hasMessage("Invalid number of folds: 65, 0 or 2 to 64");
    assertThatThrownBy(() -> new AnalysisPlan(0, List.of(2, 2), false, TokenGroups.NONE))
        .hasMessage("Invalid lags: [2, 2], expected distinct whole numbers from 1 on");
    assertThatThrownBy(
            () ->
                new AnalysisCounter(
                    shape, new AnalysisPlan(0, List.of(3), false, TokenGroups.NONE), 0))
        .hasMessage("Invalid lag: 3, below the number of MoE layers 3");
    AnalysisCounter many =
        new AnalysisCounter(shape, new AnalysisPlan(0, List.of(), false, TokenGroups.SEQUENCE), 0);
    assertThatThrownBy(
            () -> many.add(0, SyntheticTrace.draw(shape, 300, 1, 0, 1), sequence -> true))
        .hasMessage("more than 256 groups by sequence. Maybe select some with --sequences");
    ModelShape wide = new ModelShape(64, 700, 1);
    AnalysisCounter windows =
        new AnalysisCounter(wide, new AnalysisPlan(1, List.of(), false, TokenGroups.NONE), 0);
    assertThatThrownBy(
            () -> windows.add(0, SyntheticTrace.draw(wide, 1600, 9, 0, 1), sequence -> true))
        .hasMessageContaining("Maybe take a longer --window than 1");
  }
}

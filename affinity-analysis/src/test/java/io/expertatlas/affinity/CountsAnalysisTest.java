package io.expertatlas.affinity;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.expertatlas.trace.CountsReader;
import java.util.AbstractList;
import java.util.List;
import org.junit.jupiter.api.Test;

class CountsAnalysisTest {
  @Test
  void stepsOfAWindowAreAddedWhateverTheirOrder() {
    CountsReader reader =
        StepsFormat.reader(
            2,
            2,
            List.of(
                new long[] {3, 1, 0, 5, 5},
                new long[] {0, 1, 2, 3, 4},
                new long[] {1, 1, 1, 1, 1},
                new long[] {1, 10, 0, 0, 0},
                new long[] {4, 0, 0, 0, 0}));

    CountsAnalysis analysis = CountsAnalysis.of(reader, "c", 2);

    assertThat(analysis.popularity().choices(0, 0)).isEqualTo(13);
    assertThat(analysis.popularity().choices(1, 1)).isEqualTo(10);
    List<WindowCounts.Window> windows = analysis.windows().windows();
    assertThat(windows).extracting(WindowCounts.Window::index).containsExactly(0L, 1L);
    assertThat(windows).extracting(WindowCounts.Window::tokens).containsExactly(15L, 10L);
    assertThat(windows.get(0).popularity().choices(0, 0)).isEqualTo(12);
    assertThat(WindowMetrics.of(analysis.windows(), 0, 0.5).get(1).drift())
        .isCloseTo(3 / 15.0, within(1e-12));
    assertThat(analysis.visits()).isEqualTo(25);
  }

  @Test
  void countsOfNothingHaveNoWindowsAndALayerWithoutVisitsDoesNotDrift() {
    CountsAnalysis none = CountsAnalysis.of(StepsFormat.reader(1, 3, List.of()), "c", 1);
    assertThat(none.windows().windows()).isEmpty();
    assertThat(none.layers().get(0).maxOverMean()).isZero();
    CountsAnalysis half =
        CountsAnalysis.of(
            StepsFormat.reader(
                2, 2, List.of(new long[] {0, 1, 1, 0, 0}, new long[] {1, 1, 1, 2, 0})),
            "c",
            1);
    assertThat(WindowMetrics.of(half.windows(), 1, 0.5).get(1).drift()).isZero();
  }

  @Test
  void tooManyWindowsAreRefused() {
    List<long[]> steps = // made when they are read
        new AbstractList<>() {
          @Override
          public long[] get(int step) {
            long[] line = new long[1 + 2_000_000];
            line[0] = step;
            return line;
          }

          @Override
          public int size() {
            return 40;
          }
        };

    assertThatThrownBy(() -> CountsAnalysis.of(StepsFormat.reader(40, 50_000, steps), "c.steps", 1))
        .hasMessage(
            "Cannot keep 34 windows of 40 layers x 50000 experts of c.steps: at most 33. Maybe take a longer --window than 1");
  }
}

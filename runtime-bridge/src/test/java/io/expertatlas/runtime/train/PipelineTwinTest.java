package io.expertatlas.runtime.train;

import static org.assertj.core.api.Assertions.assertThat;

import io.expertatlas.runtime.Timeline;
import io.expertatlas.runtime.Timeline.Span;
import io.expertatlas.runtime.benchmark.StepForecast;
import io.expertatlas.runtime.pipeline.AffinityPolicy;
import io.expertatlas.runtime.pipeline.LookupTable;
import io.expertatlas.runtime.pipeline.PipelineKind;
import io.expertatlas.runtime.pipeline.StagePlan;
import io.expertatlas.runtime.pipeline.StepRouting;
import io.expertatlas.runtime.pipeline.TableCosts;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The simulator does what the executor does: the same plan, costs and routing in both. */
@Timeout(value = 60, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class PipelineTwinTest {
  private static final int LAYERS = 8;
  private static final int CHUNKS = 4;
  private static final int LENGTH = 6;
  private static LookupTable table;

  private static TrainableModel model(int layers) {
    return new PostNormModel(
        new PostNormConfig(layers, 5, 2, 12, 9, 3, 19, 1e-5, false),
        new InitialWeights(5),
        ParameterMemory.JVM);
  }

  @BeforeAll
  static void profile() throws InterruptedException {
    table =
        LayerProfiler.profile(
            model(1),
            Backend.doubles(1, true),
            new ProfileSettings("tiny", "a machine", 1, 1, LENGTH, 2, 3),
            what -> {});
  }

  /** What ran, and what would have. */
  private record Both(Timeline measured, StepForecast simulated, StepRouting routing) {}

  private static Both run(PipelineKind kind, int devices, boolean recomputes)
      throws InterruptedException {
    TrainableModel model = model(LAYERS);
    Backend backend = Backend.doubles(devices, recomputes);
    PipelineOptions options =
        new PipelineOptions(
            StagePlan.equal(kind, devices, LAYERS, kind == PipelineKind.GPIPE ? devices : LAYERS),
            CHUNKS,
            AffinityPolicy.EQUATION_1,
            new TableCosts(table, recomputes),
            1L << 30,
            1,
            3);
    try (PipelineExecutor executor =
        new PipelineExecutor(model, options, backend, LENGTH, LENGTH)) {
      assertThat(executor.routing()).isEmpty();
      executor.gradients(TinyModels.batch(19, CHUNKS, LENGTH, 1));
      executor.gradients(TinyModels.batch(19, CHUNKS, LENGTH, 1));
      StepRouting routing = executor.routing().orElseThrow();
      executor.loss(TinyModels.batch(19, 1, LENGTH, 2)); // leaves the last step's counts
      assertThat(executor.routing()).contains(routing);
      return new Both(
          executor.timeline(),
          StepForecast.of(
              executor.options(),
              backend,
              table,
              List.of(routing, routing),
              LENGTH,
              model.size(),
              false),
          routing);
    }
  }

  private static List<String> actions(Timeline timeline, int device) {
    return timeline.spans().stream()
        .filter(span -> span.rank() == device && span.stream().equals("gpu"))
        .map(Span::work)
        .toList();
  }

  private static List<String> loads(Timeline timeline, String part) {
    return timeline.spans().stream()
        .filter(span -> span.stream().equals("load") && span.work().contains(part))
        .map(span -> span.rank() + " " + span.work())
        .sorted()
        .toList();
  }

  /** Loads of what somebody waits for; an expert without tokens may be dropped before it comes. */
  private static List<String> needed(Both both, Timeline timeline) {
    List<String> needed = new ArrayList<>(loads(timeline, "load"));
    for (int layer = 0; layer < LAYERS; layer++) {
      for (int expert = 0; expert < both.routing().experts(); expert++) {
        int tokens = 0;
        for (int chunk = 0; chunk < CHUNKS; chunk++) {
          tokens += both.routing().counts(layer, chunk)[expert];
        }

        String block = "load layer %d expert %d".formatted(layer, expert);
        if (tokens == 0) {
          needed.removeIf(load -> load.endsWith(block));
        }
      }
    }

    return needed;
  }

  @ParameterizedTest
  @CsvSource({
    "GPIPE, 2, true",
    "GPIPE_OFFLOAD, 1, true",
    "GPIPE_OFFLOAD, 2, false",
    "MOBIUS, 1, false",
    "MOBIUS, 2, true"
  })
  void wholeStagesAreLoadedAndComputedInTheSameOrder(
      PipelineKind kind, int devices, boolean recomputes) throws InterruptedException {
    Both both = run(kind, devices, recomputes);
    for (int device = 0; device < devices; device++) {
      assertThat(actions(both.simulated().timeline(), device))
          .hasSize(2 * CHUNKS * LAYERS / devices / (kind == PipelineKind.GPIPE ? LAYERS / 2 : 1))
          .isEqualTo(actions(both.measured(), device));
    }

    assertThat(needed(both, both.simulated().timeline()))
        .isNotEmpty()
        .isEqualTo(needed(both, both.measured()));
    assertThat(both.simulated().cpuExperts()).isZero();
    assertThat(both.simulated().gradientSeconds()).isPositive();
  }

  @ParameterizedTest
  @CsvSource({"1, true", "2, true", "2, false"})
  void aptMoeComputesInTheSameOrderAndLoadsTheSameBases(int devices, boolean recomputes)
      throws InterruptedException {
    Both both = run(PipelineKind.APTMOE, devices, recomputes);
    for (int device = 0; device < devices; device++) {
      assertThat(actions(both.simulated().timeline(), device))
          .isNotEmpty()
          .isEqualTo(actions(both.measured(), device));
    }

    for (String base : List.of("attention", "gate")) {
      assertThat(loads(both.simulated().timeline(), base))
          .isNotEmpty()
          .isEqualTo(loads(both.measured(), base));
    }
  }

  @Test
  void countsOfTheExecutorAreThoseOfItsTokens() throws InterruptedException {
    Both both = run(PipelineKind.APTMOE, 2, true);
    assertThat(both.routing().layers()).isEqualTo(LAYERS);
    assertThat(both.routing().chunks()).isEqualTo(CHUNKS);
    for (int layer = 0; layer < LAYERS; layer++) {
      for (int chunk = 0; chunk < CHUNKS; chunk++) {
        assertThat(both.routing().counts(layer, chunk)).hasSize(5);
        assertThat(sum(both.routing().counts(layer, chunk))).isEqualTo(2 * LENGTH);
      }
    }
  }

  @Test
  void countsDoNotDependOnThePipeline() throws InterruptedException {
    TreeSet<String> found = new TreeSet<>();
    for (PipelineKind kind : PipelineKind.values()) {
      StepRouting routing = run(kind, 2, true).routing();
      StringBuilder text = new StringBuilder();
      for (int layer = 0; layer < LAYERS; layer++) {
        for (int chunk = 0; chunk < CHUNKS; chunk++) {
          text.append(Arrays.toString(routing.counts(layer, chunk)));
        }
      }

      found.add(text.toString());
    }

    assertThat(found).hasSize(1);
  }

  private static int sum(int[] counts) {
    return Arrays.stream(counts).sum();
  }
}

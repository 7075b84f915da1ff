package io.expertatlas.runtime.synthetic;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.expertatlas.runtime.cpu.HostFloats;
import io.expertatlas.runtime.pipeline.AffinityPolicy;
import io.expertatlas.runtime.pipeline.PipelineKind;
import io.expertatlas.runtime.pipeline.StagePlan;
import io.expertatlas.runtime.pipeline.StepRouting;
import io.expertatlas.runtime.train.Backend;
import io.expertatlas.runtime.train.MeasuredCosts;
import io.expertatlas.runtime.train.ParameterMemory;
import io.expertatlas.runtime.train.PipelineExecutor;
import io.expertatlas.runtime.train.PipelineOptions;
import io.expertatlas.runtime.train.PostNormConfig;
import io.expertatlas.runtime.train.PostNormModel;
import io.expertatlas.runtime.train.TokenBatch;
import io.expertatlas.runtime.train.TrainableModel;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SkewedTrainingTest {
  private static final Backend BACKEND = Backend.doubles(1, false);

  private static PostNormConfig config(int experts, int topK) {
    return new PostNormConfig(2, experts, topK, 64, 8, 4, 2000, 1e-5, false);
  }

  /** What a forward and backward pass of random tokens routes. */
  private static StepRouting route(PostNormConfig config, double skew) throws InterruptedException {
    TrainableModel model =
        new PostNormModel(config, new SkewedTraining(config, skew, 3), ParameterMemory.JVM);
    PipelineOptions options =
        new PipelineOptions(
            StagePlan.equal(PipelineKind.GPIPE, 1, config.layers(), 1),
            1,
            AffinityPolicy.EQUATION_1,
            MeasuredCosts.of(model, BACKEND, 1),
            Long.MAX_VALUE,
            1,
            1);
    try (PipelineExecutor executor = new PipelineExecutor(model, options, BACKEND, 64 * 16, 16)) {
      SplittableRandom random = new SplittableRandom(5);
      executor.gradients(
          new TokenBatch(
              Stream.generate(() -> random.ints(16, 0, 2000).toArray()).limit(64).toList()));
      return executor.routing().orElseThrow();
    }
  }

  @ParameterizedTest
  @CsvSource({"16, 2, 0.4", "8, 2, 0.2", "8, 1, 0.6", "4, 4, 0.25"})
  void routersChooseWithTheSkewThatWasAskedFor(int experts, int topK, double skew)
      throws InterruptedException {
    assertThat(route(config(experts, topK), skew).concentration())
        .isCloseTo(skew, within(0.12 * skew));
  }

  @Test
  void deepLayersChooseWithIt() throws InterruptedException {
    PostNormConfig config = new PostNormConfig(24, 16, 2, 128, 64, 4, 2000, 1e-5, false);
    StepRouting routing = route(config, 0.4);
    for (int layer = 0; layer < routing.layers(); layer++) {
      int[][][] alone = {{routing.counts(layer, 0)}};
      assertThat(new StepRouting(alone, new int[0][][]).concentration())
          .isCloseTo(0.4, within(0.06));
    }
  }

  @Test
  void aSkewThatCannotBeIsRefused() {
    assertThatThrownBy(() -> new SkewedTraining(config(8, 2), 0.6, 1))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith(
            "Invalid skew: 0.6, the sum of squared shares of 8 experts, top-2,");
  }

  @Test
  void aTensorIsTheSameWhereverReadingBegins() {
    SkewedTraining weights = new SkewedTraining(config(8, 2), 0.3, 1);
    float[] once = HostFloats.read(weights.tensor("layers.0.router.weight", 8, 64));
    assertThat(HostFloats.read(weights.tensor("layers.0.router.weight", 8, 64))).isEqualTo(once);
    assertThat(HostFloats.read(weights.tensor("layers.1.router.weight", 8, 64))).isNotEqualTo(once);
  }
}

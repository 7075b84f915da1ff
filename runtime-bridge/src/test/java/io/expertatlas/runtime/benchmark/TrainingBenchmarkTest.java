package io.expertatlas.runtime.benchmark;

import static org.assertj.core.api.Assertions.assertThat;

import io.expertatlas.runtime.pipeline.AffinityPolicy;
import io.expertatlas.runtime.pipeline.PipelineKind;
import io.expertatlas.runtime.pipeline.StagePlan;
import io.expertatlas.runtime.train.Backend;
import io.expertatlas.runtime.train.InitialWeights;
import io.expertatlas.runtime.train.MeasuredCosts;
import io.expertatlas.runtime.train.ParameterMemory;
import io.expertatlas.runtime.train.PipelineExecutor;
import io.expertatlas.runtime.train.PipelineOptions;
import io.expertatlas.runtime.train.PostNormConfig;
import io.expertatlas.runtime.train.PostNormModel;
import io.expertatlas.runtime.train.TrainableModel;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TrainingBenchmarkTest {
  private static final Backend BACKEND = Backend.doubles(1, true);

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void pipelinesTakeTurnsOnOneModelAndEachIsMeasured(boolean overlaps) throws InterruptedException {
    PostNormConfig config = new PostNormConfig(4, 3, 2, 8, 6, 2, 11, 1e-5, false);
    TrainableModel model = new PostNormModel(config, new InitialWeights(1), ParameterMemory.JVM);
    assertThat(config.size()).isEqualTo(model.size());
    MeasuredCosts costs = MeasuredCosts.of(model, BACKEND, 1);
    List<PipelineExecutor> opened = new ArrayList<>();
    AtomicInteger steps = new AtomicInteger();
    List<TrainingBenchmark.Result> results =
        TrainingBenchmark.run(
            model,
            List.of("mobius", "gpipe-offload"),
            name -> {
              PipelineOptions options =
                  new PipelineOptions(
                      StagePlan.equal(PipelineKind.ofWord(name), 1, 4, 4),
                      2,
                      AffinityPolicy.EQUATION_1,
                      costs,
                      Long.MAX_VALUE,
                      1,
                      1);
              opened.add(new PipelineExecutor(model, options, BACKEND, 10, 5));
              return opened.get(opened.size() - 1);
            },
            3,
            4,
            5,
            1,
            overlaps,
            steps::incrementAndGet);
    assertThat(opened).hasSize(2);
    assertThat(steps).hasValue(2 * (1 + 3));
    assertThat(results)
        .extracting(TrainingBenchmark.Result::pipeline)
        .containsExactly("mobius", "gpipe-offload");
    long layers = 8 * (config.size() - 2L * 11 * 8);
    long embeddingAndHead = 8L * 2 * 11 * 8;
    for (TrainingBenchmark.Result one : results) {
      assertThat(one.stepSeconds()).hasSize(3).allMatch(seconds -> seconds > 0);
      assertThat(one.seconds()).isGreaterThanOrEqualTo(one.gradientSeconds() / 2);
      assertThat(one.optimizerSeconds()).isPositive();
      // forward and backward each load all, but the last stage stays at the turn
      assertThat(one.loadedBytes())
          .isBetween(layers + embeddingAndHead, 2 * (layers + embeddingAndHead) - layers / 4);
      assertThat(one.cpuExperts()).isZero();
      assertThat(one.loss()).isBetween(1.0, 4.0);
    }
  }
}

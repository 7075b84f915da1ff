package io.expertatlas.runtime.sim;

import static org.assertj.core.api.Assertions.assertThat;

import io.expertatlas.runtime.pipeline.AffinityPolicy;
import io.expertatlas.runtime.pipeline.PipelineKind;
import io.expertatlas.runtime.pipeline.StagePlan;
import io.expertatlas.runtime.pipeline.StepRouting;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class MakespanTest {
  private static StepResult run(
      PipelineKind kind, int devices, int stages, int chunks, boolean keep, WorkTimes times) {
    StagePlan plan = StagePlan.equal(kind, devices, stages, stages);
    PipelineSettings settings =
        new PipelineSettings(chunks, true, keep, AffinityPolicy.EQUATION_1, 2, 1);
    return new PipelineSimulator(plan, 1, settings, times, gpu -> gpu)
        .step(new StepRouting(new int[stages][chunks][1], new int[0][][]), false);
  }

  @ParameterizedTest
  @CsvSource({
    "MOBIUS, 8, false, 33 37 41 47 53 69, 16",
    "MOBIUS, 8, true, 33 35 37 41 45 53, 12",
    "GPIPE_OFFLOAD, 8, false, 69 73 77 83 89 105, 16",
    "GPIPE_OFFLOAD, 8, true, 69 71 73 77 81 89, 12",
    "MOBIUS, 16, false, 57 61 65 75 85 117, 32",
    "MOBIUS, 16, true, 57 59 61 69 77 101, 28",
    "APTMOE, 8, true, 33 35 37 41 45 53, 12"
  })
  void fourDevicesTakeAsLongAsTheGoldenCases(
      PipelineKind kind, int stages, boolean keep, String makespans, int loads) {
    StringBuilder found = new StringBuilder();
    long loaded = 0;
    for (int load : new int[] {0, 2, 4, 6, 8, 12}) {
      StepResult result = run(kind, 4, stages, 4, keep, ConstantTimes.golden(load));
      found.append(found.length() == 0 ? "" : " ").append(result.nanos());
      loaded = result.devices().stream().mapToLong(StepResult.DeviceResult::basesLoaded).sum();
    }

    assertThat(found.toString()).isEqualTo(makespans);
    assertThat(loaded).isEqualTo(loads);
  }

  /** A device is busy with all its chunks once there are as many as devices. */
  @ParameterizedTest
  @CsvSource({"2, 1, 2", "2, 3, 5", "4, 2, 4", "4, 4, 8", "8, 2, 9", "3, 3, 3", "1, 3, 2"})
  void freeLoadsGiveTheClosedForms(int devices, int each, int chunks) {
    int stages = devices * each;
    assertThat(
            run(PipelineKind.MOBIUS, devices, stages, chunks, true, ConstantTimes.golden(0))
                .nanos())
        .isEqualTo((devices - 1 + each * chunks) * 3L);
    assertThat(
            run(PipelineKind.GPIPE_OFFLOAD, devices, stages, chunks, true, ConstantTimes.golden(0))
                .nanos())
        .isEqualTo(((devices - 1) * ((each - 1) * chunks + 1) + each * chunks) * 3L);
  }

  @ParameterizedTest
  @CsvSource({"2, 3, 1", "4, 2, 3", "4, 4, 4", "8, 2, 5"})
  void mobiusWithFewerChunksThanDevicesWaitsForEachStageInTurn(int devices, int each, int chunks) {
    int stages = devices * each;
    assertThat(
            run(PipelineKind.MOBIUS, devices, stages, chunks, true, ConstantTimes.golden(0))
                .nanos())
        .isEqualTo((stages - 1 + chunks) * 3L);
  }

  @Test
  void gpipeOfTwoLayersAStageLoadsNothing() {
    ConstantTimes times = new ConstantTimes(100, 2, 4, 0, Double.POSITIVE_INFINITY);
    assertThat(run(PipelineKind.GPIPE, 4, 4, 4, false, times).nanos()).isEqualTo(42);
  }
}

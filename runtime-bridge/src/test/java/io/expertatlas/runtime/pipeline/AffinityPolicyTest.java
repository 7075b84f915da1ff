package io.expertatlas.runtime.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.expertatlas.runtime.json.Presets;
import io.expertatlas.runtime.synthetic.GeneratedRouting;
import io.expertatlas.runtime.synthetic.SkewedGate;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class AffinityPolicyTest {
  private static final SplittableRandom UNUSED = new SplittableRandom(0);

  /** Counts written as {@code 4096*2+512*3}: 4096 twice, 512 three times. */
  private static long[] counts(String form) {
    return Arrays.stream(form.split("\\+"))
        .flatMapToLong(
            part -> {
              String[] value = part.split("\\*");
              int times = value.length == 1 ? 1 : Integer.parseInt(value[1]);
              return IntStream.range(0, times).mapToLong(i -> Long.parseLong(value[0]));
            })
        .toArray();
  }

  /** The artifact's costs: table entries as measured, activations and GPU left out of account. */
  private static LayerDemand demand(String preset, long[] counts, boolean monotone) {
    LookupTable table = Presets.find(preset).table();
    TokenCurve curve =
        (monotone
                ? table.monotone(LookupTable.Curve.CPU_FORWARD)
                : table.measured(LookupTable.Curve.CPU_FORWARD))
            .orElseThrow();
    return new LayerDemand(
        counts,
        Arrays.stream(counts).mapToDouble(count -> curve.nanos((int) count)).toArray(),
        new double[counts.length],
        table.loadAttentionNanos() + table.loadGateNanos(counts.length),
        table.loadExpertNanos());
  }

  private static final String V = "4096+512*2+64*2+8*2+1";
  private static final String S16 = "4096*2+512*3+64*4+8*3+1*2+0*2";
  private static final String S64 = "512*8+64*24+8*16+1*8+0*8";

  @ParameterizedTest
  @CsvSource({
    // preset, counts, ARTIFACT k, its ratio at k and k + 1 (0: not given)
    "S, 512*8, 3, 0.968038, 1.006602",
    "S, " + V + ", 7, 0.395260, 2.755185",
    "S, " + S16 + ", 14, 0.325464, 1.626988",
    "S, " + S64 + ", 64, 0, 0",
    "M, " + V + ", 7, 0.317066, 1.107636",
    "M, 512*8, 8, 0, 0",
    "L, " + V + ", 7, 0.419082, 1.011590",
    "L, 512*8, 2, 0.978347, 1.058296",
    "S, 0*8, 8, 0, 0",
    "M, 0*16, 16, 0, 0",
    "L, 0*64, 64, 0, 0"
  })
  void theArtifactsRuleStopsWhereItDoes(
      String preset, String form, int k, double ratio, double above) {
    LayerDemand demand = demand(preset, counts(form), false);
    assertThat(AffinityPolicy.ARTIFACT.split(demand, UNUSED).onCpu()).isEqualTo(k);
    if (ratio > 0) {
      assertThat(demand.artifactRatio(k)).isCloseTo(ratio, within(1e-5 * ratio));
      assertThat(demand.artifactRatio(k + 1)).isCloseTo(above, within(1e-5 * above));
    }
  }

  @ParameterizedTest
  @CsvSource({
    "S, 512*8, 3, 0.618750, 1.006602",
    "S, " + V + ", 6, 0.722864, 1.932317",
    "S, " + S16 + ", 12, 0.538548, 1.013134",
    "S, " + S64 + ", 56, 0.865761, 1.131761",
    "M, " + V + ", 6, 0.642171, 1.663527",
    "M, 512*8, 4, 0.725953, 1.173329",
    "L, " + V + ", 6, 0.740168, 2.004413",
    "L, 512*8, 3, 0.679393, 1.103379",
    "S, 0*8, 8, 0, 0",
    "M, 0*16, 16, 0, 0",
    "L, 0*64, 64, 0, 0"
  })
  void equation1KeepsTheMostThatTheLoadsHide(
      String preset, String form, int k, double ratio, double above) {
    LayerDemand demand = demand(preset, counts(form), false);
    assertThat(AffinityPolicy.EQUATION_1.split(demand, UNUSED).onCpu()).isEqualTo(k);
    assertThat(demand.ratio(k)).isCloseTo(ratio, within(1e-5 * ratio));
    if (above > 0) {
      assertThat(demand.ratio(k + 1)).isCloseTo(above, within(1e-5 * above));
    }
  }

  @ParameterizedTest
  @CsvSource({
    "S, 512*8, 4, 14643.383",
    "S, " + V + ", 6, 8142.948",
    "S, " + S16 + ", 13, 11496.568",
    "S, " + S64 + ", 57, 27371.573",
    "M, " + V + ", 7, 44764.817",
    "M, 512*8, 5, 76267.838",
    "L, " + V + ", 6, 159082.413",
    "L, 512*8, 4, 311275.625",
    "S, 0*8, 8, 1738.548",
    "M, 0*16, 16, 7864.952",
    "L, 0*64, 64, 36189.556"
  })
  void minMaxTakesTheShorterOfTheLongerSides(String preset, String form, int k, double micros) {
    for (boolean monotone : new boolean[] {false, true}) {
      LayerDemand demand = demand(preset, counts(form), monotone);
      assertThat(AffinityPolicy.MIN_MAX.split(demand, UNUSED).onCpu()).isEqualTo(k);
      assertThat(demand.spanNanos(k) / 1e3).isCloseTo(micros, within(1e-5 * micros));
    }
  }

  @Test
  void expertsGoByRisingCountThenById() {
    LayerDemand demand = demand("S", counts(V), false);
    assertThat(demand.order()).containsExactly(7, 5, 6, 3, 4, 1, 2, 0);
    LayerSplit split = AffinityPolicy.EQUATION_1.split(demand, UNUSED);
    assertThat(IntStream.range(0, 8).filter(split::isOnGpu)).containsExactly(0, 2);
    assertThat(split.expert(5)).isEqualTo(1);
  }

  @ParameterizedTest
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void growingCountsNeverLeaveMoreOnTheCpu(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    String preset = new String[] {"S", "M", "L"}[random.nextInt(3)];
    int experts = 1 + random.nextInt(20);
    long[] counts = random.longs(experts, 0, 600).toArray();
    long[] more = counts.clone();
    more[random.nextInt(experts)] += 1 + random.nextInt(500);
    for (AffinityPolicy policy :
        new AffinityPolicy[] {
          AffinityPolicy.EQUATION_1, AffinityPolicy.MIN_MAX, AffinityPolicy.ARTIFACT
        }) {
      int before = policy.split(demand(preset, counts, true), UNUSED).onCpu();
      int after = policy.split(demand(preset, more, true), UNUSED).onCpu();
      assertThat(after).as(policy + " " + Arrays.toString(counts)).isLessThanOrEqualTo(before);
    }
  }

  @ParameterizedTest
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void splitsAreTheBestOfAllOfTheirKind(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int experts = 1 + random.nextInt(12);
    LayerDemand demand =
        new LayerDemand(
            random.longs(experts, 0, 5).toArray(),
            random.doubles(experts, 0, 10).toArray(),
            random.doubles(experts, 0, 3).toArray(),
            random.nextDouble() * 5,
            random.nextDouble() * 4);
    int most = 0;
    double least = Double.POSITIVE_INFINITY;
    for (int k = 0; k <= experts; k++) {
      most = demand.ratio(k) <= 1 ? k : most;
      least = Math.min(least, demand.spanNanos(k));
    }

    int found = AffinityPolicy.EQUATION_1.split(demand, UNUSED).onCpu();
    double path = demand.pathNanos(AffinityPolicy.CRITICAL_PATH.split(demand, UNUSED).onCpu());
    assertThat(path).isEqualTo(least); // without micro-batches
    assertThat(found).isEqualTo(most);
    assertThat(demand.spanNanos(AffinityPolicy.MIN_MAX.split(demand, UNUSED).onCpu()))
        .isEqualTo(least)
        .isLessThanOrEqualTo(demand.spanNanos(found));
  }

  @Test
  void criticalPathKeepsOnTheCpuWhatHidesInEveryMicroBatch() {
    long[] counts = {1, 2, 9};
    double[] cpu = {4, 6, 40};
    double[] gpu = {2, 2, 6};
    LayerDemand whole = new LayerDemand(counts, cpu, gpu, 1, 5); // L: 16, 11, 6, 1
    assertThat(AffinityPolicy.EQUATION_1.split(whole, UNUSED).onCpu()).isEqualTo(1);
    assertThat(AffinityPolicy.MIN_MAX.split(whole, UNUSED).onCpu()).isEqualTo(2);

    // two micro-batches, the cold experts in the second one: k = 1: (1 + 4) + (1 + 5)
    LayerDemand parts =
        whole.withMicroBatches(
            new double[][] {{0, 0, 20}, {4, 6, 20}},
            new double[][] {{0, 0, 3}, {2, 2, 3}},
            new double[] {1, 1},
            1);
    assertThat(IntStream.rangeClosed(0, 3).mapToDouble(parts::computeNanos))
        .containsExactly(12.0, 10.0, 15.0, 52.0);
    assertThat(IntStream.rangeClosed(0, 3).mapToDouble(parts::pathNanos))
        .containsExactly(16.0, 11.0, 15.0, 52.0);
    assertThat(AffinityPolicy.CRITICAL_PATH.split(parts, UNUSED).onCpu()).isEqualTo(1);

    // half of the step is known
    LayerDemand scaled =
        whole.withMicroBatches(
            new double[][] {{4, 6, 20}}, new double[][] {{2, 2, 3}}, new double[] {1}, 2);
    assertThat(IntStream.rangeClosed(0, 3).mapToDouble(scaled::computeNanos))
        .containsExactly(16.0, 12.0, 22.0, 62.0);
  }

  @Test
  void minMaxIsNeverLongerThanEquation1OnPersistentRouting() {
    StepRouting step =
        new GeneratedRouting(
                SkewedGate.ofSkew(16, 0.3),
                new GeneratedRouting.Settings(64, 4, 4096, 1, Double.NaN, 3))
            .next()
            .orElseThrow();
    for (int layer = 0; layer < 64; layer++) {
      LayerDemand demand =
          demand("S", Arrays.stream(step.counts(layer, 0)).asLongStream().toArray(), true);
      double shorter = demand.spanNanos(AffinityPolicy.MIN_MAX.split(demand, UNUSED).onCpu());
      double longer = demand.spanNanos(AffinityPolicy.EQUATION_1.split(demand, UNUSED).onCpu());
      assertThat(shorter).as("layer " + layer).isLessThanOrEqualTo(longer);
    }
  }

  @Test
  void randomHalfPutsHalfOnTheGpuWhateverItsTokens() {
    int[] onGpu = new int[7];
    SplittableRandom random = new SplittableRandom(5);
    for (int i = 0; i < 7000; i++) {
      LayerSplit split =
          AffinityPolicy.RANDOM_HALF.split(demand("S", counts("4096*3+0*4"), false), random);
      assertThat(split.onCpu()).isEqualTo(4);
      for (int expert = 0; expert < 7; expert++) {
        onGpu[expert] += split.isOnGpu(expert) ? 1 : 0;
      }
    }

    assertThat(Arrays.stream(onGpu).boxed()).allSatisfy(n -> assertThat(n).isBetween(2850, 3150));
  }
}

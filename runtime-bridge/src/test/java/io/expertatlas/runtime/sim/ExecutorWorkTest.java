package io.expertatlas.runtime.sim;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.runtime.Timeline.Span;
import io.expertatlas.runtime.pipeline.AffinityPolicy;
import io.expertatlas.runtime.pipeline.LayerShape;
import io.expertatlas.runtime.pipeline.LookupTable;
import io.expertatlas.runtime.pipeline.LookupTable.Curve;
import io.expertatlas.runtime.pipeline.PipelineKind;
import io.expertatlas.runtime.pipeline.StagePlan;
import io.expertatlas.runtime.pipeline.StepRouting;
import io.expertatlas.runtime.pipeline.TokenCurve;
import io.expertatlas.runtime.pipeline.TrainingProfile;
import io.expertatlas.runtime.pipeline.TrainingProfile.Piece;
import io.expertatlas.runtime.sim.StepResult.DeviceResult;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class ExecutorWorkTest {
  private static final int TOKENS = 4;
  private static final int MANY = TrainingProfile.KEPT_ROWS + 1;

  /** Times that are told apart in sums. */
  private static LookupTable table() {
    return table(1, 5);
  }

  private static LookupTable table(int experts, double loadExpert) {
    return table(experts, loadExpert, 2);
  }

  private static LookupTable table(int experts, double loadExpert, double cpuForward) {
    return table(experts, loadExpert, cpuForward, loadExpert);
  }

  private static LookupTable table(
      int experts, double loadExpert, double cpuForward, double besideCpu) {
    Map<Curve, TokenCurve> curves = new EnumMap<>(Curve.class);
    curves.put(Curve.CPU_FORWARD, curve(cpuForward));
    curves.put(Curve.CPU_AGAIN, curve(1));
    curves.put(Curve.CPU_BACKWARD, curve(2));
    curves.put(Curve.GPU_FORWARD, curve(7));
    curves.put(Curve.GPU_AGAIN, curve(5));
    curves.put(Curve.GPU_BACKWARD, curve(14));
    curves.put(Curve.COPY_ACTIVATION, curve(1));
    curves.put(Curve.RETURN_ACTIVATION, curve(1));
    curves.put(Curve.ATTENTION_FORWARD, curve(10));
    curves.put(Curve.ATTENTION_AGAIN, curve(8));
    curves.put(Curve.ATTENTION_BACKWARD, curve(20));
    curves.put(Curve.EMBED_FORWARD, curve(1));
    curves.put(Curve.EMBED_BACKWARD, curve(1));
    curves.put(Curve.HEAD_FORWARD, curve(2));
    curves.put(Curve.HEAD_BACKWARD, curve(3));
    Map<Piece, double[]> pieces = new EnumMap<>(Piece.class);
    pieces.put(Piece.LOAD_BESIDE_CPU, new double[] {besideCpu});
    pieces.put(Piece.STORE_EXPERT, new double[] {6});
    pieces.put(Piece.STORE_ATTENTION, new double[] {2});
    pieces.put(Piece.STORE_GATE, new double[] {1});
    pieces.put(Piece.LOAD_EMBEDDING, new double[] {2});
    pieces.put(Piece.STORE_EMBEDDING, new double[] {1});
    pieces.put(Piece.LOAD_HEAD, new double[] {4});
    pieces.put(Piece.STORE_HEAD, new double[] {1});
    pieces.put(Piece.CLEAR_EXPERT, new double[] {7});
    pieces.put(Piece.CLEAR_ATTENTION, new double[] {1});
    pieces.put(Piece.CLEAR_GATE, new double[] {1});
    pieces.put(Piece.CLEAR_EMBEDDING, new double[] {1});
    pieces.put(Piece.CLEAR_HEAD, new double[] {2});
    pieces.put(Piece.CLEAR_CPU_EXPERT, new double[] {8});
    pieces.put(Piece.STORE_CPU_EXPERT, new double[] {9});
    pieces.put(Piece.OPTIMIZER, new double[] {50});
    return new LookupTable(
        "hand-made",
        new LookupTable.Machine("a machine", 1),
        new LayerShape(8, 8, 2, 4),
        new double[] {loadExpert},
        new double[] {3},
        Map.of(experts, new double[] {1}),
        curves,
        Optional.of(
            new TrainingProfile(
                new TrainingProfile.Sizes(experts, 1, 1, 10, TOKENS, 2, 1000, 100), pieces)));
  }

  private static TokenCurve curve(double nanos) {
    return TokenCurve.of(new int[] {TOKENS, MANY}, new double[][] {{nanos}, {nanos}});
  }

  private static StepResult run(
      PipelineKind kind, int layers, boolean recomputes, boolean hostDevices, boolean holds) {
    return run(kind, layers, recomputes, hostDevices, holds, false);
  }

  private static StepResult run(
      PipelineKind kind,
      int layers,
      boolean recomputes,
      boolean hostDevices,
      boolean holds,
      boolean updates) {
    int[][][] counts = new int[layers][1][1];
    Arrays.stream(counts).forEach(layer -> layer[0][0] = TOKENS);
    return PipelineSimulator.ofExecutor(
            StagePlan.equal(kind, 1, layers, layers),
            1,
            1,
            AffinityPolicy.EQUATION_1,
            1,
            new ExecutorRules(
                new ProfiledTimes(table(), recomputes, TOKENS, Double.POSITIVE_INFINITY),
                1,
                hostDevices,
                holds,
                updates))
        .step(new StepRouting(counts, new int[0][][]), true);
  }

  /**
   * Two stages of a layer, by hand. Stage 0 is there at 11: attention with the embedding 6 to 17,
   * expert to 24. Stage 1: 24 to 43 with the head, backward to 80 and zeros of 11 to 91, gradients
   * on the host at 101. Stage 0 again: 91 to 126 and zeros of 10 to 136, gradients at 146.
   * Computing again adds 15 and 13; devices that are the CPU itself wait for the first 10 of
   * gradients.
   */
  @ParameterizedTest
  @CsvSource({
    "false, false, false, 146",
    "true, false, false, 174",
    "false, true, false, 156",
    "false, false, true, 146"
  })
  void wholeStagesTakeAsLongAsByHand(
      boolean recomputes, boolean hostDevices, boolean holds, long nanos) {
    StepResult step = run(PipelineKind.MOBIUS, 2, recomputes, hostDevices, holds);
    assertThat(step.nanos()).isEqualTo(nanos);
    assertThat(step.timeline().spans().stream().filter(s -> s.stream().equals("load")))
        .extracting(Span::work)
        .containsExactly(
            "load layer 0 attention",
            "load layer 0 gate",
            "load layer 0 expert 0",
            "load layer 1 attention",
            "load layer 1 gate",
            "load layer 1 expert 0",
            "load layer 0 attention",
            "load layer 0 gate",
            "load layer 0 expert 0");
    assertThat(step.timeline().spans().stream().filter(s -> s.stream().equals("gpu")))
        .extracting(Span::work)
        .containsExactly(
            "load_forward 0 -1 0", "forward 1 0 0", "backward 1 -1 0", "backward 0 1 0");
  }

  /**
   * By hand: attention, embedding and head are there at 10; attention to 21, rows to the CPU to 22,
   * expert to 24, back 25, head to 27; head backward to 30, rows to 31, expert to 33, back 34,
   * attention to 55, its zeros and the ends' to 60, their gradients to 65. Those of the expert are
   * of few rows and not written out. Computing again adds the head, and attention (32 to 40) while
   * the CPU copies rows and is at the expert.
   */
  @ParameterizedTest
  @CsvSource({"false, 31, 65", "true, 33, 71"})
  void anExpertOnTheCpuTakesItsCopiesThereAndBack(boolean recomputes, long backward, long nanos) {
    StepResult step = run(PipelineKind.APTMOE, 1, recomputes, false, false);
    assertThat(step.nanos()).isEqualTo(nanos);
    DeviceResult device = step.devices().get(0);
    assertThat(device.cpuNanos()).isEqualTo(2 + 2);
    assertThat(device.expertsLoaded()).isZero();
    assertThat(device.cpuTokens()).isEqualTo(TOKENS);
    assertThat(step.timeline().spans().stream().filter(s -> s.stream().equals("cpu")))
        .extracting(Span::beginNanos)
        .containsExactly(22L, backward);
  }

  /**
   * By hand: six experts, three of them (a, b, c) drawn for the device, a load takes 20. The gate
   * speaks at 21, a is copied to 41, b stands ready behind it. The CPU copies the rows of d, e and
   * f to 24, computes and copies back to 27, 30 and 33, and is idle: c waits for 8 of a, 20 of b,
   * 20 of its own and 7 on the device, the CPU has it after 4: rows to 34, expert to 36, back 37.
   * Then a to 48, b to 68, head to 70. Backward, where nothing is given away, c is copied 70 to 90:
   * head to 73, a with zeros to 94, b to 115, c to 136; beside them rows to 76, d, e and f with
   * zeros and back to 109; attention to 157, its zeros and the ends' to 162, gradients of d, e and
   * f to 189.
   *
   * <p>Computing again: head to 75, attention again to 83, a again and with zeros to 109, b to 135;
   * c, whose values forward left on the host, to 158; beside them rows to 78, d, e and f to 111;
   * attention to 179, zeros to 184, gradients to 211.
   */
  @ParameterizedTest
  @CsvSource({"false, 189, 76, 87, 98", "true, 211, 78, 89, 100"})
  void anExpertWhoseCopyWaitsGoesToTheCpuIfThatEndsFirst(
      boolean recomputes, long nanos, long d, long e, long f) {
    StepResult step =
        PipelineSimulator.ofExecutor(
                StagePlan.equal(PipelineKind.APTMOE, 1, 1, 1),
                6,
                1,
                AffinityPolicy.RANDOM_HALF,
                1,
                new ExecutorRules(
                    new ProfiledTimes(table(6, 20), recomputes, TOKENS, Double.POSITIVE_INFINITY),
                    1,
                    false,
                    false,
                    false))
            .step(
                new StepRouting(
                    new int[][][] {{{MANY, MANY, MANY, MANY, MANY, MANY}}}, new int[0][][]),
                true);
    assertThat(step.nanos()).isEqualTo(nanos);
    DeviceResult device = step.devices().get(0);
    assertThat(device.cpuTokens()).isEqualTo(4 * MANY);
    assertThat(device.gpuTokens()).isEqualTo(2 * MANY);
    assertThat(device.expertsLoaded()).isEqualTo(3);
    assertThat(step.timeline().spans().stream().filter(s -> s.stream().equals("cpu")))
        .extracting(Span::beginNanos)
        .containsExactly(24L, 27L, 30L, 34L, d, e, f);
  }

  /** Attention to 8, rows of gradients and of what the expert sees to 10, again and back 3. */
  @Test
  void anExpertThatTheDeviceComputedForwardIsComputedAgainOnTheCpu() {
    StepResult step =
        PipelineSimulator.ofExecutor(
                StagePlan.equal(PipelineKind.APTMOE, 1, 2, 2),
                1,
                1,
                AffinityPolicy.EQUATION_1,
                1,
                new ExecutorRules(
                    new ProfiledTimes(table(1, 5, 100), true, TOKENS, Double.POSITIVE_INFINITY),
                    1,
                    false,
                    false,
                    false))
            .step(new StepRouting(new int[][][] {{{TOKENS}}, {{TOKENS}}}, new int[0][][]), true);
    long begin = span(step, "backward 0 1 0").beginNanos();
    Span onCpu = span(step, "expert 0 of layer 0");
    assertThat(onCpu.beginNanos()).isEqualTo(begin + 10);
    assertThat(onCpu.endNanos()).isEqualTo(begin + 13);
    assertThat(step.devices().get(0).cpuNanos()).isEqualTo(3);
  }

  private static Span span(StepResult step, String work) {
    return step.timeline().spans().stream()
        .filter(span -> span.work().equals(work))
        .findFirst()
        .orElseThrow();
  }

  /**
   * By hand: a layer has 288 + 9 + 144 parameters of half a nanosecond, 220.5. Gradients of stage 1
   * are on the host at 101, its parameters have moved at 322 (220.5 rounds up), those of stage 0,
   * there at 146, at 543.
   */
  @Test
  void theOptimizerMovesAStageWhileTheNextOneIsComputed() {
    StepResult step = run(PipelineKind.MOBIUS, 2, false, false, false, true);
    assertThat(step.nanos()).isEqualTo(101 + 221 + 221);
  }

  @Test
  void loadsThatWaitForGradientsOfTheStageBeforeComeLater() {
    StepResult free = run(PipelineKind.MOBIUS, 4, false, false, false);
    StepResult held = run(PipelineKind.MOBIUS, 4, false, false, true);
    // stage 1 comes for its backward pass while gradients of stage 2 are under way
    assertThat(loadOf(held, 3)).isGreaterThan(loadOf(free, 3));
    assertThat(held.nanos()).isGreaterThanOrEqualTo(free.nanos());
  }

  /** When the last stage that is loaded again begins to be. */
  private static long loadOf(StepResult step, int before) {
    List<Long> begins =
        step.timeline().spans().stream()
            .filter(span -> span.work().equals("load layer 0 attention"))
            .map(Span::beginNanos)
            .toList();
    assertThat(begins).as("loads of stage 0, %d stages above", before).hasSize(2);
    return begins.get(1);
  }

  /** Odd sizes, one device, one layer, one expert among them; experts without tokens too. */
  @ParameterizedTest
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void everyPipelineComputesEveryTokenOnceAndLoadsWhatItNeeds(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    PipelineKind kind = PipelineKind.values()[random.nextInt(4)];
    int devices = 1 + random.nextInt(4);
    int stages = kind == PipelineKind.GPIPE ? devices : devices * (1 + random.nextInt(3));
    int layers = stages + random.nextInt(4);
    int chunks = 1 + random.nextInt(4);
    int experts = 1 + random.nextInt(6);
    int[][][] counts = new int[layers][chunks][experts];
    long tokens = 0;
    for (int[][] layer : counts) {
      for (int[] chunk : layer) {
        Arrays.setAll(chunk, expert -> random.nextInt(5));
        tokens += Arrays.stream(chunk).sum();
      }
    }

    PipelineSimulator simulator =
        PipelineSimulator.ofExecutor(
            StagePlan.balanced(kind, devices, layers, stages),
            experts,
            chunks,
            AffinityPolicy.values()[random.nextInt(4)],
            seed,
            new ExecutorRules(
                new ProfiledTimes(table(), random.nextBoolean(), TOKENS, 1e9),
                1 + random.nextInt(2),
                random.nextBoolean(),
                random.nextBoolean(),
                random.nextBoolean()));
    StepRouting routing = new StepRouting(counts, new int[0][][]);
    for (int i = 0; i < 2; i++) {
      StepResult step = simulator.step(routing, true);
      assertThat(step.devices().stream().mapToLong(d -> d.gpuTokens() + d.cpuTokens()).sum())
          .isEqualTo(tokens);
      // a stage at a device's turn comes once, the others twice
      long loaded = step.devices().stream().mapToLong(DeviceResult::basesLoaded).sum();
      assertThat(loaded).isBetween((long) layers, 2L * layers);
      TreeMap<String, Long> free = new TreeMap<>();
      for (Span span : step.timeline().spans()) {
        String row = span.rank() + span.stream();
        assertThat(span.endNanos()).isLessThanOrEqualTo(step.nanos());
        if (List.of("gpu", "load").contains(span.stream())) {
          assertThat(span.beginNanos())
              .as(row + " " + span.work())
              .isGreaterThanOrEqualTo(free.getOrDefault(row, 0L));
          free.put(row, span.endNanos());
        }
      }
    }
  }

  @Test
  void theOptimizerTakesItsTimeForEachParameter() {
    ProfiledTimes times = new ProfiledTimes(table(), true, TOKENS, 1e9);
    assertThat(times.optimizerNanos(1000)).isEqualTo(500);
    assertThat(times.sendNanos(0, 1)).isEqualTo(TOKENS * 8 * 4);
  }

  /** One worker on the CPU; an expert is copied in 5, in {@code besideCpu} while that computes. */
  private static ExecutorRules rules(double cpuForward, double besideCpu, boolean hostDevices) {
    LookupTable table = table(1, 5, cpuForward, besideCpu);
    return new ExecutorRules(
        new ProfiledTimes(table, false, TOKENS, Double.POSITIVE_INFINITY),
        1,
        hostDevices,
        false,
        false);
  }

  @ParameterizedTest
  @CsvSource({"5, false, 1", "10, false, 0.5", "4, false, 1", "10, true, 1"})
  void loadsAreSlowerWhileTheCpuComputesExperts(
      double besideCpu, boolean hostDevices, double expected) {
    ExecutorRules rules = rules(2, besideCpu, hostDevices);
    assertThat(rules.loadPace(0)).isEqualTo(1);
    assertThat(rules.loadPace(1)).isEqualTo(expected);
  }

  /**
   * The CPU has layer 0's expert from 18 to 22, and copies its rows before and after. That of layer
   * 1 is copied from 14 on, and takes 5: at half the speed the last two take 4.
   */
  @ParameterizedTest
  @CsvSource({"5, 19", "10, 21"})
  void copiesBesideTheCpusExpertsTakeLonger(double besideCpu, long end) {
    StepResult step =
        PipelineSimulator.ofExecutor(
                StagePlan.equal(PipelineKind.APTMOE, 1, 2, 2),
                1,
                1,
                AffinityPolicy.EQUATION_1,
                1,
                rules(4, besideCpu, false))
            .step(new StepRouting(new int[][][] {{{TOKENS}}, {{TOKENS}}}, new int[0][][]), true);
    assertThat(step.timeline().spans())
        .contains(
            new Span(0, PipelineSimulator.CPU, "expert 0 of layer 0", 18, 22),
            new Span(0, "load", "load layer 1 expert 0", 14, end));
  }

  @Test
  void aPoolWithoutWorkersIsRefused() {
    ProfiledTimes times = new ProfiledTimes(table(), true, TOKENS, 1e9);
    assertThatThrownBy(() -> new ExecutorRules(times, 0, false, false, false))
        .hasMessage("Invalid number of CPU workers: 0, at least 1");
  }
}

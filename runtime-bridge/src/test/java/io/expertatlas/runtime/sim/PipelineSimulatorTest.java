package io.expertatlas.runtime.sim;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.expertatlas.placement.solver.StageProblem;
import io.expertatlas.runtime.Timeline.Span;
import io.expertatlas.runtime.json.MachineParser;
import io.expertatlas.runtime.json.Presets;
import io.expertatlas.runtime.pipeline.AffinityPolicy;
import io.expertatlas.runtime.pipeline.PipelineKind;
import io.expertatlas.runtime.pipeline.Preset;
import io.expertatlas.runtime.pipeline.StagePlan;
import io.expertatlas.runtime.pipeline.StepRouting;
import io.expertatlas.runtime.sim.StepResult.DeviceResult;
import io.expertatlas.runtime.synthetic.GeneratedRouting;
import io.expertatlas.runtime.synthetic.SkewedGate;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

class PipelineSimulatorTest {
  private static Scenario scenario(String name, int layers, int experts, int gpus, int chunks) {
    Preset preset = Presets.find(name);
    return new Scenario(
        preset.table(),
        layers,
        experts,
        preset.heads(),
        1,
        gpus,
        chunks,
        2 * chunks,
        preset.sequenceLength(),
        MachineParser.paper(),
        400_000_000_000L);
  }

  private static List<StepResult> run(
      Scenario scenario,
      PipelineKind kind,
      int stages,
      AffinityPolicy policy,
      boolean backward,
      boolean keep,
      double skew,
      double fidelity,
      long seed) {
    StagePlan plan = StagePlan.balanced(kind, scenario.devices(), scenario.layers(), stages);
    return scenario.run(
        plan,
        new PipelineSettings(scenario.chunks(), backward, keep, policy, 2, seed),
        new GeneratedRouting(
            SkewedGate.ofSkew(scenario.experts(), skew),
            new GeneratedRouting.Settings(
                scenario.layers(), scenario.chunks(), scenario.choices(), 0.8, fidelity, seed)),
        0,
        2,
        true);
  }

  /** Odd sizes, one GPU, one layer, one expert and one chunk among them. */
  @ParameterizedTest
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void everyPipelineComputesEveryTokenOnceAndDoesOneThingAtATime(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    PipelineKind kind = PipelineKind.values()[random.nextInt(4)];
    int gpus = 1 + random.nextInt(5);
    int stages = kind == PipelineKind.GPIPE ? gpus : gpus * (1 + random.nextInt(3));
    int experts = 1 + random.nextInt(9);
    int layers = stages + random.nextInt(4);
    Scenario scenario = scenario("S", layers, experts, gpus, 1 + random.nextInt(5));
    AffinityPolicy policy = AffinityPolicy.values()[random.nextInt(4)];
    boolean backward = random.nextInt(4) > 0;
    double skew =
        experts == 1 ? 1 : 1.0 / experts + random.nextDouble() * 0.5 * (1 - 1.0 / experts);
    double fidelity = random.nextBoolean() ? Double.NaN : random.nextDouble();
    for (StepResult step :
        run(scenario, kind, stages, policy, backward, random.nextBoolean(), skew, fidelity, seed)) {
      long tokens = 0;
      long loads = 0;
      for (DeviceResult device : step.devices()) {
        tokens += device.gpuTokens() + device.cpuTokens();
        loads += device.basesLoaded();
        assertThat(device.gpuNanos()).isLessThanOrEqualTo(step.nanos());
        assertThat(device.cpuNanos()).isLessThanOrEqualTo(step.nanos());
        assertThat(device.loadNanos()).isLessThanOrEqualTo(step.nanos());
      }

      assertThat(tokens).isEqualTo((long) layers * scenario.chunks() * scenario.choices());
      assertThat(loads).isBetween(kind.offloads() ? (long) layers : 0, 2L * layers);
      TreeMap<String, Long> free = new TreeMap<>();
      for (Span span : step.timeline().spans()) {
        String row = span.rank() + span.stream();
        assertThat(span.endNanos()).isLessThanOrEqualTo(step.nanos());
        if (!span.stream().equals(PipelineSimulator.SEND)) {
          assertThat(span.beginNanos())
              .as(row + " " + span.work())
              .isGreaterThanOrEqualTo(free.getOrDefault(row, 0L));
          free.put(row, span.endNanos());
        }
      }
    }
  }

  /** The evaluator of the stage program is another program for the same rules. */
  @ParameterizedTest
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void wholeStagesTakeAsLongAsTheStageProblemSays(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int devices = 1 + random.nextInt(4);
    int stages = devices * (1 + random.nextInt(3));
    int chunks = 1 + random.nextInt(5);
    int layers = stages + random.nextInt(6);
    ConstantTimes times =
        new ConstantTimes(
            random.nextInt(20),
            1 + random.nextInt(5),
            1 + random.nextInt(9),
            0,
            Double.POSITIVE_INFINITY);
    StagePlan plan = StagePlan.balanced(PipelineKind.MOBIUS, devices, layers, stages);
    long[] load = new long[layers];
    long[] forward = new long[layers];
    long[] backward = new long[layers];
    Arrays.fill(load, (long) times.load());
    Arrays.fill(forward, (long) times.forward());
    Arrays.fill(backward, (long) times.backward());
    StageProblem problem =
        new StageProblem(devices, stages, chunks, 0, load, forward, backward, new long[layers]);
    StepResult result =
        new PipelineSimulator(
                plan,
                1,
                new PipelineSettings(chunks, true, true, AffinityPolicy.EQUATION_1, 2, 1),
                times,
                gpu -> gpu)
            .step(new StepRouting(new int[layers][chunks][1], new int[0][][]), false);
    assertThat(result.nanos()).isEqualTo(problem.makespan(problem.equalStages()));
  }

  @Test
  void theSameSeedGivesTheSameStep() {
    Scenario scenario = scenario("S", 8, 16, 4, 4);
    List<StepResult> a =
        run(scenario, PipelineKind.APTMOE, 8, AffinityPolicy.RANDOM_HALF, true, true, 0.4, 0.8, 5);
    List<StepResult> b =
        run(scenario, PipelineKind.APTMOE, 8, AffinityPolicy.RANDOM_HALF, true, true, 0.4, 0.8, 5);
    assertThat(b.get(1).nanos()).isEqualTo(a.get(1).nanos());
    assertThat(b.get(1).devices()).isEqualTo(a.get(1).devices());
    assertThat(b.get(1).timeline().spans()).isEqualTo(a.get(1).timeline().spans());
  }

  @Test
  void popularityOfTheLastStepIsLoadedAheadAndHits() {
    Scenario scenario = scenario("S", 16, 16, 4, 4);
    List<StepResult> steps =
        scenario.run(
            StagePlan.equal(PipelineKind.APTMOE, 4, 16, 8),
            new PipelineSettings(4, true, true, AffinityPolicy.EQUATION_1, 2, 1),
            new GeneratedRouting(
                SkewedGate.ofSkew(16, 0.4),
                new GeneratedRouting.Settings(16, 4, scenario.choices(), 1, Double.NaN, 3)),
            0,
            2,
            false);
    long before = steps.get(0).devices().stream().mapToLong(DeviceResult::hits).sum();
    long after = steps.get(1).devices().stream().mapToLong(DeviceResult::hits).sum();
    assertThat(after).isGreaterThan(before);
    assertThat(steps.get(1).nanos()).isLessThan(steps.get(0).nanos());
  }

  @Test
  void aSlowSendHoldsTheNextOneBack() {
    // two devices, one stage each, two chunks: the second activation leaves after the first
    ConstantTimes times = new ConstantTimes(0, 1, 2, 10, Double.POSITIVE_INFINITY);
    StepResult result =
        new PipelineSimulator(
                StagePlan.equal(PipelineKind.GPIPE, 2, 2, 2),
                1,
                new PipelineSettings(2, false, true, AffinityPolicy.EQUATION_1, 2, 1),
                times,
                gpu -> gpu)
            .step(new StepRouting(new int[2][2][1], new int[0][][]), false);
    assertThat(result.nanos()).isEqualTo(1 + 10 + 10 + 1);
  }

  @Test
  void copiesUnderOneRootComplexShareItsLink() {
    ConstantTimes free = new ConstantTimes(100, 1, 2, 0, Double.POSITIVE_INFINITY);
    ConstantTimes shared = new ConstantTimes(100, 1, 2, 0, 1);
    StepRouting routing = new StepRouting(new int[4][1][1], new int[0][][]);
    StagePlan plan = StagePlan.equal(PipelineKind.MOBIUS, 2, 4, 4);
    PipelineSettings settings =
        new PipelineSettings(1, false, true, AffinityPolicy.EQUATION_1, 2, 1);
    long apart =
        new PipelineSimulator(plan, 1, settings, shared, gpu -> gpu).step(routing, false).nanos();
    long together =
        new PipelineSimulator(plan, 1, settings, shared, gpu -> 0).step(routing, false).nanos();
    assertThat(apart)
        .isEqualTo(
            new PipelineSimulator(plan, 1, settings, free, gpu -> 0).step(routing, false).nanos())
        .isEqualTo(202); // loads 0 to 100 and 100 to 200 at each, two stages left to compute
    assertThat(together).isEqualTo(402);
  }

  /** A slow twin: many small steps of time, each copy gets its share of the link, and its pace. */
  @ParameterizedTest
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void aSharedLinkGivesEachCopyItsShare(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int copies = 1 + random.nextInt(6);
    double capacity = 0.5 + random.nextDouble() * 3;
    long[] begin = new long[copies];
    double[] left = new double[copies];
    double[] twin = new double[copies];
    EventQueue events = new EventQueue();
    SharedLink link = new SharedLink(events, capacity);
    double pace = 0.5 + random.nextDouble() / 2;
    long slow = random.nextInt(1000);
    long fast = slow + random.nextInt(1000);
    events.at(slow, () -> link.pace(pace));
    events.at(fast, () -> link.pace(1));
    long[] ended = new long[copies];
    for (int i = 0; i < copies; i++) {
      int copy = i;
      begin[i] = random.nextInt(1000);
      left[i] = 100 + random.nextInt(1000);
      double nanos = left[i];
      events.at(begin[i], () -> link.start(nanos, () -> ended[copy] = events.now()));
    }

    events.run();
    double tick = 0.5;
    for (double now = 0; now < 15_000; now += tick) {
      int running = 0;
      for (int i = 0; i < copies; i++) {
        running += begin[i] <= now && left[i] > 0 ? 1 : 0;
      }

      for (int i = 0; i < copies; i++) {
        if (begin[i] <= now && left[i] > 0) {
          left[i] -=
              tick * (slow <= now && now < fast ? pace : 1) * Math.min(1, capacity / running);
          twin[i] = now;
        }
      }
    }

    for (int i = 0; i < copies; i++) {
      assertThat((double) ended[i]).isCloseTo(twin[i], within(copies * 3.0));
    }
  }

  @ParameterizedTest
  @EnumSource(PipelineKind.class)
  void aBudgetThatIsTooSmallIsRefusedWithItsParts(PipelineKind kind) {
    Scenario large = scenario("L", 32, 8, 4, 4);
    Scenario scenario =
        new Scenario(large.table(), 32, 8, 32, 1, 4, 4, 8, 128, large.machine(), 8_000_000_000L);
    StagePlan plan = StagePlan.equal(kind, 4, 32, kind == PipelineKind.GPIPE ? 4 : 8);
    PipelineSettings settings =
        new PipelineSettings(4, true, true, AffinityPolicy.EQUATION_1, 2, 1);
    boolean stays = kind == PipelineKind.GPIPE;
    assertThatThrownBy(() -> scenario.run(plan, settings, () -> null, 0, 1, false))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith("Cannot run %s in 8.00 GB a GPU: device ".formatted(kind.word()))
        .hasMessageContaining(
            stays
                ? "(weights 32.22, gradients 32.22, optimizer 64.44, activations"
                : "(weights 32.22, gradients 16.11, optimizer 0.00, activations");
  }

  @Test
  void sizesOfStagesAreThoseOfTheArtifact() {
    String[] models = {"S-8 1.14", "S-16 2.22", "S-64 8.66", "M-8 4.57", "M-16 8.86", "L-8 16.11"};
    double[] milliseconds = {109.42, 211.90, 826.84, 640.92, 1250.39, 2112.67};
    for (int i = 0; i < models.length; i++) {
      String model = models[i].split(" ")[0];
      Preset preset = Presets.find(model.substring(0, 1));
      int experts = Integer.parseInt(model.substring(2));
      assertThat(4 * preset.table().shape().layerBytes(experts) / 1e9)
          .as(model)
          .isCloseTo(Double.parseDouble(models[i].split(" ")[1]), within(0.006));
      TableTimes times = scenario(model.substring(0, 1), 4, experts, 1, 1).times();
      assertThat(4 * (times.loadBaseNanos() + experts * times.loadExpertNanos()) / 1e6)
          .as(model)
          .isCloseTo(milliseconds[i], within(0.006));
    }
  }

  @Test
  void parametersOf64LayersAreTheComputedOnes() {
    double[] billions = {4.57, 8.86, 34.65, 18.26, 35.45, 64.44};
    String[] models = {"S-8", "S-16", "S-64", "M-8", "M-16", "L-8"};
    List<Double> found = new ArrayList<>();
    for (String model : models) {
      int experts = Integer.parseInt(model.substring(2));
      found.add(
          Math.round(scenario(model.substring(0, 1), 64, experts, 1, 1).parameters() / 1e7)
              / 100.0);
    }

    for (int i = 0; i < models.length; i++) {
      assertThat(found.get(i)).as(models[i]).isCloseTo(billions[i], within(0.02));
    }
  }

  @Test
  void routingOfAnotherShapeIsRefused() {
    PipelineSimulator simulator =
        new PipelineSimulator(
            StagePlan.equal(PipelineKind.MOBIUS, 1, 2, 2),
            3,
            new PipelineSettings(2, true, true, AffinityPolicy.EQUATION_1, 2, 1),
            ConstantTimes.golden(1),
            gpu -> gpu);
    assertThatThrownBy(
            () -> simulator.step(new StepRouting(new int[2][1][3], new int[0][][]), false))
        .hasMessage("Invalid routing: 2 layers, 1 micro-batches, 3 experts, expected 2, 2, 3");
  }
}

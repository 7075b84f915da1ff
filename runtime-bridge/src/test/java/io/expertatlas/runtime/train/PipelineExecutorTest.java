package io.expertatlas.runtime.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.expertatlas.runtime.MixtralConfig;
import io.expertatlas.runtime.Timeline.Span;
import io.expertatlas.runtime.matrix.DoubleDevice;
import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.MatrixDevice;
import io.expertatlas.runtime.pipeline.AffinityPolicy;
import io.expertatlas.runtime.pipeline.ExpertCosts;
import io.expertatlas.runtime.pipeline.PipelineKind;
import io.expertatlas.runtime.pipeline.StagePlan;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Pipelines of logical devices beside the plain executor: the same numbers, to the last bit. */
@Timeout(value = 60, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class PipelineExecutorTest {
  private static final int LAYERS = 8;
  private static final int TOKENS = 4 * 6; // of a batch
  private static final int LENGTH = 6;
  private static final Backend BACKEND = Backend.doubles(2, false);
  private static final AdamW OPTIMIZER = new AdamW(0.9, 0.99, 1e-8, 0.01);

  /** An expert of more than 5 tokens is worth a copy, some layers more than others. */
  private static final ExpertCosts COSTS =
      new ExpertCosts() {
        @Override
        public double cpuNanos(int tokens, boolean backward) {
          return 1000 * tokens * (backward ? 2 : 1);
        }

        @Override
        public double gpuNanos(int tokens, boolean backward) {
          return 100 * tokens;
        }

        @Override
        public double loadExpertNanos() {
          return 5000;
        }

        @Override
        public double loadBaseNanos() {
          return 3000;
        }
      };

  private static TrainableModel model(String name) {
    return model(name, ParameterMemory.JVM);
  }

  static TrainableModel model(String name, ParameterMemory memory) {
    InitialWeights weights = new InitialWeights(5);
    return switch (name) {
      case "mixtral" ->
          new MixtralTraining(
              new MixtralConfig(LAYERS, 8, 2, 32, 12, 4, 2, 8, 19, 64, 1e-5, 100, -1, 2),
              weights,
              false,
              memory);
      case "tied" ->
          new MixtralTraining(
              new MixtralConfig(LAYERS, 4, 2, 8, 6, 2, 1, 4, 19, 64, 1e-5, 100, -1, 2),
              weights,
              true,
              memory);
      case "post-norm" ->
          new PostNormModel(
              new PostNormConfig(LAYERS, 5, 1, 12, 9, 3, 19, 1e-5, false), weights, memory);
      default ->
          new PostNormModel(
              new PostNormConfig(LAYERS, 1, 1, 4, 3, 1, 19, 1e-5, true), weights, memory);
    };
  }

  static List<Arguments> pipelines() {
    List<Arguments> all = new ArrayList<>();
    for (String model : List.of("mixtral", "tied", "post-norm", "one-expert")) {
      for (int devices : new int[] {1, 2, 4}) {
        for (int chunks : new int[] {1, 4}) {
          all.add(
              Arguments.of(model, PipelineKind.GPIPE, AffinityPolicy.EQUATION_1, devices, chunks));
          all.add(
              Arguments.of(
                  model, PipelineKind.GPIPE_OFFLOAD, AffinityPolicy.EQUATION_1, devices, chunks));
          all.add(
              Arguments.of(model, PipelineKind.MOBIUS, AffinityPolicy.EQUATION_1, devices, chunks));
          for (AffinityPolicy policy : AffinityPolicy.values()) {
            all.add(Arguments.of(model, PipelineKind.APTMOE, policy, devices, chunks));
          }
        }
      }
    }

    return all;
  }

  static PipelineOptions options(
      PipelineKind kind, AffinityPolicy policy, int devices, int chunks, long bytes) {
    int stages = kind == PipelineKind.GPIPE ? devices : LAYERS;
    return new PipelineOptions(
        StagePlan.equal(kind, devices, LAYERS, stages), chunks, policy, COSTS, bytes, 2, 3);
  }

  /** What a model needs at the least, as the refusal of one byte says. */
  private static long least(
      TrainableModel model, PipelineOptions options, Backend backend, int tokens) {
    Throwable refusal =
        catchThrowable(() -> new PipelineExecutor(model, options, backend, tokens, LENGTH));
    assertThat(refusal).isInstanceOf(IllegalArgumentException.class);
    String number = refusal.getMessage().replaceAll(".*needs ([\\d,]+) bytes.*", "$1");
    return Long.parseLong(number.replace(",", ""));
  }

  @ParameterizedTest
  @MethodSource("pipelines")
  void everyPipelineGivesTheBitsOfThePlainExecutor(
      String name, PipelineKind kind, AffinityPolicy policy, int devices, int chunks)
      throws InterruptedException {
    for (boolean recomputes : new boolean[] {false, true}) {
      compare(name, kind, policy, devices, chunks, Backend.doubles(devices, recomputes));
    }
  }

  private static void compare(
      String name,
      PipelineKind kind,
      AffinityPolicy policy,
      int devices,
      int chunks,
      Backend backend)
      throws InterruptedException {
    TrainableModel plain = model(name);
    TrainableModel piped = model(name);
    int tokens = TOKENS / chunks;
    long bytes = least(piped, options(kind, policy, devices, chunks, 1), backend, tokens);
    PipelineOptions options = options(kind, policy, devices, chunks, bytes);
    try (PlainExecutor one = new PlainExecutor(plain, chunks);
        PipelineExecutor many = new PipelineExecutor(piped, options, backend, tokens, LENGTH)) {
      for (int step = 1; step <= 2; step++) {
        TokenBatch batch = TinyModels.batch(19, 4, 6, step);
        assertThat(many.gradients(batch)).isEqualTo(one.gradients(batch));
        OPTIMIZER.step(plain.parameters(), 1e-2, step, true);
        OPTIMIZER.step(piped.parameters(), 1e-2, step, true);
        for (int i = 0; i < plain.parameters().size(); i++) {
          Parameter expected = plain.parameters().get(i);
          Parameter found = piped.parameters().get(i);
          assertThat(found.gradient()).as(expected.name()).isEqualTo(expected.gradient());
          assertThat(found.mean()).as(expected.name()).isEqualTo(expected.mean());
          assertThat(found.variance()).as(expected.name()).isEqualTo(expected.variance());
          assertThat(found.value()).as(expected.name()).isEqualTo(expected.value());
        }
      }

      TokenBatch scored = TinyModels.batch(19, 4 / chunks, 6, 9);
      assertThat(many.loss(scored)).isEqualTo(one.loss(scored));
      assertThat(many.usedBytes()).isZero();
      assertThat(many.peakBytes()).isBetween(1L, bytes);
    }
  }

  @ParameterizedTest
  @MethodSource("pipelines")
  void parametersThatMoveMeanwhileEndAsThoseThatMoveAfterwards(
      String name, PipelineKind kind, AffinityPolicy policy, int devices, int chunks)
      throws InterruptedException {
    if (chunks == 1) {
      return; // four are enough
    }

    TrainableModel expected = model(name);
    TrainableModel found = model(name);
    PipelineOptions options = options(kind, policy, devices, chunks, 1L << 30);
    Backend backend = Backend.doubles(devices, true);
    int tokens = TOKENS / chunks;
    try (PlainExecutor plain = new PlainExecutor(expected, chunks);
        PipelineExecutor piped = new PipelineExecutor(found, options, backend, tokens, LENGTH)) {
      for (int step = 1; step <= 2; step++) {
        int number = step;
        TokenBatch batch = TinyModels.batch(19, 4, 6, step);
        List<Parameter> moved = new ArrayList<>();
        double loss =
            piped.step(
                batch,
                (some, isBeside) -> {
                  moved.addAll(some);
                  OPTIMIZER.step(some, 1e-2, number, true, isBeside);
                });
        assertThat(loss).isEqualTo(plain.gradients(batch));
        assertThat(moved).containsExactlyInAnyOrderElementsOf(found.parameters());
        OPTIMIZER.step(expected.parameters(), 1e-2, step, true);
        for (int i = 0; i < expected.parameters().size(); i++) {
          Parameter one = expected.parameters().get(i);
          assertThat(found.parameters().get(i).value()).as(one.name()).isEqualTo(one.value());
        }
      }
    }
  }

  /** The CPU in doubles, whose copies take a while. */
  private static Backend slowCopies() {
    MatrixDevice slow =
        (MatrixDevice)
            Proxy.newProxyInstance(
                MatrixDevice.class.getClassLoader(),
                new Class<?>[] {MatrixDevice.class},
                (proxy, method, arguments) -> {
                  if (method.getName().equals("load")) {
                    Thread.sleep(2);
                  }

                  return method.invoke(DoubleDevice.INSTANCE, arguments);
                });
    return new Backend(List.of(slow), DoubleDevice.INSTANCE, true);
  }

  /** An expert on the CPU takes so long, a copy a microsecond. */
  private static ExpertCosts costs(double cpuNanos) {
    return new ExpertCosts() {
      @Override
      public double cpuNanos(int tokens, boolean backward) {
        return cpuNanos;
      }

      @Override
      public double gpuNanos(int tokens, boolean backward) {
        return 1;
      }

      @Override
      public double loadExpertNanos() {
        return 1000;
      }

      @Override
      public double loadBaseNanos() {
        return 1000;
      }
    };
  }

  @Test
  void anExpertWhoseCopyWaitsGoesToTheCpuIfThatEndsFirst() throws InterruptedException {
    Map<Double, Long> onCpu = new TreeMap<>();
    Map<Double, Double> losses = new TreeMap<>();
    for (double cpuNanos : new double[] {1, 1e12}) {
      PipelineOptions options =
          new PipelineOptions(
              StagePlan.equal(PipelineKind.APTMOE, 1, LAYERS, LAYERS),
              1,
              AffinityPolicy.RANDOM_HALF, // which asks for half of the experts, whatever they cost
              costs(cpuNanos),
              1L << 30,
              1,
              3);
      try (PipelineExecutor executor =
          new PipelineExecutor(model("mixtral"), options, slowCopies(), TOKENS, LENGTH)) {
        losses.put(cpuNanos, executor.gradients(TinyModels.batch(19, 4, 6, 1)));
        onCpu.put(
            cpuNanos,
            executor.timeline().spans().stream()
                .filter(span -> span.stream().equals("cpu"))
                .count());
      }
    }

    assertThat(onCpu.get(1.0)).isGreaterThan(onCpu.get(1e12));
    assertThat(losses.get(1.0)).isEqualTo(losses.get(1e12));
  }

  /** The CPU in doubles; counts weights that are loaded, and copies that a device begins. */
  private static MatrixDevice counting(AtomicInteger loads, AtomicInteger copies) {
    return (MatrixDevice)
        Proxy.newProxyInstance(
            MatrixDevice.class.getClassLoader(),
            new Class<?>[] {MatrixDevice.class},
            (proxy, method, arguments) -> {
              boolean isOfDevice = Thread.currentThread().getName().equals("device");
              if (method.getName().equals("beginTake") && isOfDevice) {
                copies.incrementAndGet();
              } else if (method.getName().equals("load")) {
                loads.incrementAndGet();
              }

              return method.invoke(DoubleDevice.INSTANCE, arguments);
            });
  }

  @Test
  void theCpusExpertsOfALayerGetTheirRowsInOneCopy() throws InterruptedException {
    AtomicInteger loads = new AtomicInteger();
    AtomicInteger copies = new AtomicInteger();
    Backend backend = new Backend(slowCopies().devices(), counting(loads, copies), true);
    PipelineOptions options =
        new PipelineOptions(
            StagePlan.equal(PipelineKind.APTMOE, 1, LAYERS, LAYERS),
            1,
            AffinityPolicy.EQUATION_1,
            costs(1), // all are the CPU's that are not there
            1L << 30,
            1,
            3);
    TrainableModel model = model("mixtral");
    try (PipelineExecutor executor =
        new PipelineExecutor(model, options, backend, TOKENS, LENGTH)) {
      executor.loss(TinyModels.batch(19, 4, 6, 1));
    }

    assertThat(copies.get()).isBetween(1, LAYERS);
    assertThat(loads.get()).isGreaterThan(3 * 2 * LAYERS); // weights of more than 2 in a layer
  }

  @Test
  void aptMoeComputesExpertsOnBothSidesAndCopiesFewerBlocksThanMobius()
      throws InterruptedException {
    Map<PipelineKind, Map<String, Integer>> streams = new TreeMap<>();
    for (PipelineKind kind : List.of(PipelineKind.MOBIUS, PipelineKind.APTMOE)) {
      PipelineOptions options = options(kind, AffinityPolicy.EQUATION_1, 2, 4, 1L << 30);
      try (PipelineExecutor executor =
          new PipelineExecutor(model("mixtral"), options, BACKEND, 6, LENGTH)) {
        executor.gradients(TinyModels.batch(19, 4, 6, 1));
        Map<String, Integer> counts = new TreeMap<>();
        for (Span span : executor.timeline().spans()) {
          counts.merge(span.stream(), 1, Integer::sum);
        }

        streams.put(kind, counts);
      }
    }

    Map<String, Integer> mobius = streams.get(PipelineKind.MOBIUS);
    Map<String, Integer> aptMoe = streams.get(PipelineKind.APTMOE);
    assertThat(mobius).containsOnlyKeys("gpu", "load", "send");
    assertThat(mobius.get("gpu")).isEqualTo(2 * LAYERS * 4);
    assertThat(mobius.get("send")).isEqualTo(2 * (LAYERS - 1) * 4);
    // 6 stages come twice, the 2 at the turn once; a stage is a layer of 10 blocks
    assertThat(mobius.get("load")).isEqualTo(10 * (6 * 2 + 2));
    assertThat(aptMoe.get("cpu")).isPositive();
    assertThat(aptMoe.get("gpu")).isEqualTo(mobius.get("gpu"));
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2, 3})
  void aFailureOnOneDeviceStopsAllAndIsSaidInOneLine(int failing) {
    PipelineOptions options = options(PipelineKind.APTMOE, AffinityPolicy.MIN_MAX, 4, 4, 1L << 30);
    try (PipelineExecutor executor =
        new PipelineExecutor(
            model("mixtral"),
            options,
            Backend.doubles(4, false),
            6,
            LENGTH,
            (device, action) -> {
              if (device == failing && action.isBackward() && action.chunk() == 1) {
                throw new PipelineException(
                    "Device %d failed at '%s': no more".formatted(device, action),
                    new IllegalStateException("no more"));
              }
            })) {
      TokenBatch batch = TinyModels.batch(19, 4, 6, 1);
      int stage = failing + 4;
      assertThatThrownBy(() -> executor.gradients(batch))
          .isInstanceOf(PipelineException.class)
          .hasMessageStartingWith("Device %d failed at 'backward %d".formatted(failing, stage))
          .hasMessageEndingWith("1': no more");
      assertThatThrownBy(() -> executor.gradients(batch))
          .isInstanceOf(IllegalStateException.class)
          .hasMessageStartingWith("The pipeline has stopped: Device %d".formatted(failing));
    }
  }

  @Test
  void aModelWhoseTwoStagesDoNotFitIsRefusedWithTheNumbers() {
    PipelineOptions options =
        options(PipelineKind.MOBIUS, AffinityPolicy.EQUATION_1, 2, 4, 100_000);
    assertThatThrownBy(() -> new PipelineExecutor(model("mixtral"), options, BACKEND, 6, LENGTH))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageMatching(
            "Not enough memory: mobius of 8 stages needs [\\d,]+ bytes on device \\d for stage \\d"
                + " \\(weights [\\d,]+, gradients [\\d,]+, activations [\\d,]+, next stage"
                + " [\\d,]+\\), --memory is 100,000\\. Maybe more stages or micro-batches");
  }

  @Test
  void aPlanForAnotherModelIsRefused() {
    PipelineOptions options =
        new PipelineOptions(
            StagePlan.equal(PipelineKind.MOBIUS, 2, 6, 6),
            1,
            AffinityPolicy.EQUATION_1,
            COSTS,
            1 << 20,
            1,
            1);
    assertThatThrownBy(() -> new PipelineExecutor(model("mixtral"), options, BACKEND, 6, LENGTH))
        .hasMessage("Invalid stages for this model: 6 layers, the model has 8");
  }

  @Test
  void whatATapeTakesIsKnownBeforehand() throws InterruptedException {
    for (String name : List.of("mixtral", "tied", "post-norm", "one-expert")) {
      TrainableModel model = model(name);
      Stage stage = new Stage(model, 0, LAYERS);
      Copies copies =
          new Copies() {
            @Override
            public MatrixDevice device() {
              return DoubleDevice.INSTANCE;
            }

            @Override
            public Matrix value(Parameter parameter) {
              return DoubleDevice.INSTANCE.load(
                  parameter.value(), parameter.rows(), parameter.columns());
            }

            @Override
            public Matrix gradient(Parameter parameter) {
              throw new IllegalStateException("no gradient is asked for");
            }
          };
      TokenBatch batch = TinyModels.batch(19, 3, 5, 1);
      Stage.Tape tape =
          stage.forward(
              batch, Optional.empty(), 12, Stage.Keep.TAPES, copies, ExpertRunner.inOrder(copies));
      long input = 15L * model.hidden() * Double.BYTES;
      assertThat(stage.tapeBytes(15, 5, Stage.Keep.TAPES, DoubleDevice.INSTANCE))
          .as(name)
          .isEqualTo(tape.bytes() + input);
    }
  }

  @Test
  void measuredCostsGrowWithTheTokens() throws InterruptedException {
    MeasuredCosts costs = MeasuredCosts.of(model("mixtral"), BACKEND, 1);
    for (boolean backward : new boolean[] {false, true}) {
      assertThat(costs.cpuNanos(0, backward)).isZero();
      assertThat(costs.cpuNanos(300, backward)).isGreaterThanOrEqualTo(costs.cpuNanos(2, backward));
      assertThat(costs.gpuNanos(300, backward)).isGreaterThanOrEqualTo(costs.gpuNanos(2, backward));
      assertThat(costs.gpuNanos(7, backward)).isPositive();
    }

    assertThat(costs.loadExpertNanos()).isPositive();
    assertThat(costs.loadBaseNanos()).isPositive();
  }

  @Test
  void parametersThatDoNotFitTheHostAreRefusedWithTheNumbers() {
    HostNeed.check(1_000_000_000, false, 16_000_000_000L);
    assertThatThrownBy(() -> HostNeed.check(1_000_000_000, true, 31_999_999_999L))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "Not enough host memory: 1,000,000,000 parameters of 32 bytes each need 32,000,000,000"
                + " bytes, the JVM has 31,999,999,999. Maybe give it more with"
                + " ATLAS_JAVA_OPTIONS=-Xmx49g");
  }

  @Test
  void presetsHaveTheSizesOfTheirPaper() {
    PostNormConfig small = PostNormConfig.preset("S", 16, 2, 100);
    assertThat(2L * small.hidden() * small.inner() + small.hidden() + small.inner())
        .isEqualTo(8_393_728);
    PostNormConfig large = PostNormConfig.preset("L", 8, 2, 100);
    assertThat(2L * large.hidden() * large.inner() + large.hidden() + large.inner())
        .isEqualTo(117_458_944);
    assertThat(PostNormConfig.preset("M", 8, 1, 100).layers()).isEqualTo(32);
    assertThatThrownBy(() -> PostNormConfig.preset("X", 8, 1, 100))
        .hasMessage("Invalid preset: X, one of S, M, L");
  }

  @Test
  void aReservationWaitsForRoomAndNeverExceedsTheBudget() throws Exception {
    Arena arena = new Arena(100);
    arena.reserve("first", 70);
    Thread second =
        new Thread(
            () -> {
              try {
                arena.reserve("second", 50);
              } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
              }
            });
    second.start();
    while (second.getState() != Thread.State.WAITING) {
      Thread.onSpinWait();
    }

    assertThat(arena.used()).isEqualTo(70);
    arena.release(30);
    second.join();
    assertThat(arena.used()).isEqualTo(90);
    assertThat(arena.peak()).isEqualTo(90);
    assertThatThrownBy(() -> arena.reserve("third", 101))
        .hasMessage("Cannot reserve 101 bytes for third: the device has 100");
  }
}

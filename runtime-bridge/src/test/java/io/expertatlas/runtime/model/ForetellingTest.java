package io.expertatlas.runtime.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.placement.ParallelMode;
import io.expertatlas.predictor.AffinePredictor;
import io.expertatlas.predictor.ExpertPredictor;
import io.expertatlas.predictor.PredictedModel;
import io.expertatlas.predictor.PredictorKind;
import io.expertatlas.predictor.Predictors;
import io.expertatlas.predictor.WeightTensor;
import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.ExecutionPlan;
import io.expertatlas.runtime.Goldens;
import io.expertatlas.runtime.MixtralConfig;
import io.expertatlas.runtime.Offload;
import io.expertatlas.runtime.Offload.Eviction;
import io.expertatlas.runtime.TensorData;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.Phase;
import io.expertatlas.trace.RoutingTrace;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiFunction;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** On the project's Mixtral: 12 layers of 8 experts, 2 a token. */
class ForetellingTest {
  private static final MixtralConfig CONFIG = (MixtralConfig) Runs.config("mixtral");
  private static final ModelShape SHAPE = CONFIG.shape();
  private static final Goldens GOLDENS = Goldens.read("mixtral");
  private static final long EXPERT_BYTES = 3L * 192 * 64 * Float.BYTES;
  private static final int NEW_TOKENS = 12;

  private static ExecutionPlan plan(int slots, Eviction eviction) {
    return Runs.vanilla(SHAPE, 1, ParallelMode.HOME).with(new Offload(slots, eviction));
  }

  /** What a run gave. */
  private record Run(List<int[]> tokens, List<Routes> routes, Offload.Use use) {}

  private static Run run(int slots, Eviction eviction, Foretelling by, int prompts) {
    try (Runs runs = new Runs("mixtral", plan(slots, eviction), new Limits(8, 128, 512))) {
      runs.model.foretell(by);
      List<int[]> tokens = runs.greedy(GOLDENS.prompts().subList(0, prompts), NEW_TOKENS, false);
      return new Run(tokens, runs.routes, runs.model.offloaded());
    }
  }

  private static RecordedRoutes recorded(List<Routes> routes) {
    RecordedRoutes recorded = new RecordedRoutes(SHAPE);
    routes.forEach(recorded::routed);
    return recorded;
  }

  private static float[][] gates() {
    float[][] gates = new float[SHAPE.layers()][];
    for (int layer = 0; layer < gates.length; layer++) {
      TensorData data =
          Runs.checkpoint("mixtral")
              .tensor(
                  "model.layers.%d.block_sparse_moe.gate.weight".formatted(layer),
                  SHAPE.experts(),
                  CONFIG.hidden());
      assertThat(data.type()).isEqualTo(DType.BF16);
      ByteBuffer bytes =
          ByteBuffer.allocate((int) data.elements() * Short.BYTES).order(ByteOrder.LITTLE_ENDIAN);
      data.read(0, bytes);
      gates[layer] = new float[(int) data.elements()];
      for (int i = 0; i < gates[layer].length; i++) {
        gates[layer][i] = Float.intBitsToFloat(bytes.getShort(2 * i) << 16);
      }
    }

    return gates;
  }

  private static ExpertPredictor nextGate() {
    return AffinePredictor.nextGate(
        new PredictedModel("", SHAPE, CONFIG.hidden()),
        2,
        gates(),
        new float[SHAPE.layers()][SHAPE.experts()]);
  }

  private static ExpertPredictor previousToken() {
    float[] even = new float[SHAPE.totalExperts()];
    Arrays.fill(even, 1f / SHAPE.experts());
    Map<String, WeightTensor> tensors = new LinkedHashMap<>();
    tensors.put("popularity", new WeightTensor(List.of(SHAPE.layers(), SHAPE.experts()), even));
    return Predictors.of(
        PredictorKind.PREVIOUS_TOKEN,
        new PredictedModel("", SHAPE, 0),
        1,
        tensors,
        Path.of("previous-token"));
  }

  @ParameterizedTest
  @CsvSource({"1, LRU", "5, POPULARITY", "17, LRU", "30, POPULARITY", "96, POPULARITY"})
  void whatIsForetoldChangesNoToken(int slots, Eviction eviction) {
    Run without = run(slots, eviction, Foretelling.NONE, 8);
    List<int[]> golden =
        GOLDENS.greedy().stream().map(ids -> Arrays.copyOf(ids, NEW_TOKENS)).toList();
    assertThat(without.tokens()).containsExactlyElementsOf(golden);
    assertThat(without.use().foretold()).isZero();
    List<Foretelling> all =
        new ArrayList<>(
            List.of(
                Foretelling.POPULARITY, Foretelling.NEXT_GATE, Foretelling.by(previousToken())));
    if (slots >= 8) { // else sums of several sets may be rounded otherwise, and choices differ
      all.add(Foretelling.by(recorded(without.routes())));
    }

    for (Foretelling by : all) {
      Run with = run(slots, eviction, by, 8);
      assertThat(with.tokens()).containsExactlyElementsOf(golden);
      assertThat(with.use().needed()).isEqualTo(without.use().needed());
    }
  }

  @Test
  void anOracleLoadsTheFirstLayerOnDemandAndNothingElse() {
    for (Eviction eviction : Eviction.values()) {
      Run without = run(16, eviction, Foretelling.NONE, 8); // 16: all experts of two layers
      Run with = run(16, eviction, Foretelling.by(recorded(without.routes())), 8);

      assertThat(with.use().loads()).isEqualTo(needed(without.routes().get(0), 0).size());
      assertThat(with.use().foretold()).isEqualTo(with.use().arrived()).isPositive();
      assertThat(with.use().wasted()).isZero();
      assertThat(with.use().bytes())
          .isEqualTo((with.use().loads() + with.use().foretold()) * EXPERT_BYTES);
    }
  }

  @Test
  void theNextGateTellsMostOfATrainedModel() {
    Offload.Use with = run(30, Eviction.POPULARITY, Foretelling.NEXT_GATE, 1).use();

    assertThat(with.foretold()).isGreaterThan(4 * with.loads());
    assertThat(with.bytes())
        .isGreaterThanOrEqualTo((with.loads() + with.foretold() + with.wasted()) * EXPERT_BYTES);
  }

  @Test
  void aPredictorOnTheHostForetellsAsTheGateOnTheDevice() {
    Offload.Use onDevice = run(20, Eviction.LRU, Foretelling.NEXT_GATE, 3).use();

    assertThat(run(20, Eviction.LRU, Foretelling.by(nextGate()), 3).use()).isEqualTo(onDevice);
  }

  private static List<Integer> needed(Routes routes, int layer) {
    return tokensOf(routes, layer).keySet().stream().sorted().toList();
  }

  /** Tokens by expert. */
  private static Map<Integer, Long> tokensOf(Routes routes, int layer) {
    Map<Integer, Long> tokens = new LinkedHashMap<>();
    short[] experts = routes.experts();
    for (int t = 0; t < routes.step().tokens(); t++) {
      for (int rank = 0; rank < SHAPE.topK(); rank++) {
        int at = (t * SHAPE.layers() + layer) * SHAPE.topK() + rank;
        tokens.merge((int) experts[at], 1L, Long::sum);
      }
    }

    return tokens;
  }

  private static List<Integer> hottest(Map<Integer, Long> tokens, int count) {
    Comparator<Integer> byTokens = Comparator.comparingLong(expert -> -tokens.get(expert));
    return tokens.keySet().stream()
        .sorted(byTokens.thenComparing(Comparator.naturalOrder()))
        .limit(count)
        .toList();
  }

  /** The costs of a run, from its routes alone. */
  private static Offload.Use replay(
      List<Routes> steps,
      int slots,
      Eviction eviction,
      BiFunction<Integer, Integer, List<Integer>> next) {
    SlowExpertSlots slow = new SlowExpertSlots(new Offload(slots, eviction), 1, 0);
    for (int step = 0; step < steps.size(); step++) {
      for (int layer = 0; layer < SHAPE.layers(); layer++) {
        int first = layer * SHAPE.experts();
        int behind = (layer + 1) % SHAPE.layers() * SHAPE.experts();
        List<Integer> foretold =
            next.apply(step, layer).stream().map(expert -> behind + expert).toList();
        slow.need(
            needed(steps.get(step), layer).stream().map(expert -> first + expert).toList(),
            foretold);
        slow.foretell(foretold);
      }
    }

    return slow.use(EXPERT_BYTES);
  }

  @ParameterizedTest
  @CsvSource({"9, LRU", "9, POPULARITY", "30, LRU", "30, POPULARITY"})
  void theCostsAreThoseOfTheSlowTwinOnTheRoutes(int slots, Eviction eviction) {
    Run none = run(slots, eviction, Foretelling.NONE, 8);
    List<Routes> steps = none.routes();
    assertThat(none.use()).isEqualTo(replay(steps, slots, eviction, (step, layer) -> List.of()));

    Run oracle = run(slots, eviction, Foretelling.by(recorded(steps)), 8);
    assertThat(oracle.use())
        .isEqualTo(
            replay(
                steps,
                slots,
                eviction,
                (step, layer) -> {
                  boolean isLast = layer + 1 == SHAPE.layers();
                  if (isLast && step + 1 == steps.size()) {
                    return List.of();
                  }

                  Map<Integer, Long> tokens =
                      isLast
                          ? tokensOf(steps.get(step + 1), 0)
                          : tokensOf(steps.get(step), layer + 1);
                  return hottest(tokens, SHAPE.experts());
                }));

    List<Map<Integer, Long>> soFar = new ArrayList<>();
    for (int layer = 0; layer < SHAPE.layers(); layer++) {
      soFar.add(new LinkedHashMap<>());
    }

    Run popularity = run(slots, eviction, Foretelling.POPULARITY, 8);
    assertThat(popularity.use())
        .isEqualTo(
            replay(
                steps,
                slots,
                eviction,
                (step, layer) -> {
                  tokensOf(steps.get(step), layer)
                      .forEach((expert, count) -> soFar.get(layer).merge(expert, count, Long::sum));
                  return hottest(
                      soFar.get((layer + 1) % SHAPE.layers()),
                      needed(steps.get(step), layer).size());
                }));
  }

  @Test
  void routesOfOtherTokensStopTheRunWithThePlace() {
    Run first = run(16, Eviction.LRU, Foretelling.NONE, 1);
    RecordedRoutes routes = recorded(first.routes());

    assertThatThrownBy(() -> run(16, Eviction.LRU, Foretelling.by(routes), 2))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageMatching(
            "Cannot foretell by recorded routes: sequence 1, position 0, MoE layer 0 chose"
                + " \\[\\d, \\d], recorded is nothing");

    RoutingTrace wrong =
        RoutingTrace.of(
            SHAPE,
            new short[] {6, 7, 6, 7, 6, 7, 6, 7, 6, 7, 6, 7, 6, 7, 6, 7, 6, 7, 6, 7, 6, 7, 6, 7},
            new float[0],
            new int[1],
            new int[1],
            new byte[] {(byte) Phase.PREFILL.code()});
    routes.add(wrong);
    assertThatThrownBy(() -> run(16, Eviction.LRU, Foretelling.by(routes), 1))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageMatching(
            "Cannot foretell by recorded routes: sequence 0, position 0, MoE layer 0 chose"
                + " \\[\\d, \\d], recorded is \\[6, 7]");
  }

  @Test
  void routesOfAnotherModelAreRefused() {
    RoutingTrace other = RoutingTrace.ofExperts(new ModelShape(1, 4, 1), new short[] {3});

    assertThatThrownBy(() -> new RecordedRoutes(SHAPE).add(other))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith("Invalid routes: of ")
        .hasMessageContaining(SHAPE.toString());
  }

  @Test
  void onlyOffloadedExpertsOfMixtralOnOneRankAreFetchedAhead() {
    ExecutionPlan resident = Runs.vanilla(SHAPE, 1, ParallelMode.HOME);
    ExecutionPlan two =
        Runs.vanilla(SHAPE, 2, ParallelMode.HOME).with(new Offload(8, Eviction.LRU));
    Limits limits = new Limits(1, 8, 8);
    try (Runs runs = new Runs("mixtral", resident, limits)) {
      assertThatThrownBy(() -> runs.model.foretell(Foretelling.POPULARITY))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("Cannot fetch experts ahead: all stay on the device");
    }

    try (Runs runs = new Runs("mixtral", two, limits)) {
      assertThatThrownBy(() -> runs.model.foretell(Foretelling.POPULARITY))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("Cannot fetch experts ahead on 2 ranks: only on one");
    }

    ExecutionPlan nllb =
        Runs.vanilla(Runs.config("nllb-moe").shape(), 1, ParallelMode.HOME)
            .with(new Offload(8, Eviction.LRU));
    try (Runs runs = new Runs("nllb-moe", nllb, new Limits(1, 8, 8))) {
      assertThatThrownBy(() -> runs.model.foretell(Foretelling.POPULARITY))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageMatching("Cannot fetch experts ahead for Nllb\\w*: only for Mixtral");
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 3})
  void theHottestOfTheNextLayerAreForetoldAsManyAsThisOneNeeds(int layers) {
    PopularityForeteller foreteller = new PopularityForeteller(new ModelShape(layers, 6, 2));
    Step step = Step.of(Phase.DECODE, 0, List.of(new Step.Piece(0, 4, new int[] {9}, true, 0)));
    int last = layers - 1;
    foreteller.next(new Foreteller.Spoken(step, 0, new int[] {5, 1, 5, 2}, new int[0], null));
    Foretold next =
        foreteller.next(new Foreteller.Spoken(step, last, new int[] {4, 3}, new int[0], null));

    assertThat(next.layer()).isZero();
    assertThat(next.experts()).containsExactly(5, 1); // of equals the first one
  }
}

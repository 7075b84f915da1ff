package io.expertatlas.placement.search;

import static org.assertj.core.api.Assertions.assertThat;

import io.expertatlas.placement.BruteForce;
import io.expertatlas.placement.Caps;
import io.expertatlas.placement.Loads;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Routes;
import io.expertatlas.placement.SlotBounds;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.solver.Chain;
import io.expertatlas.placement.solver.PlacementSolvers;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.placement.solver.SolverStatus;
import io.expertatlas.trace.Cases;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Random small problems of every objective, with unequal slots and caps, against brute force. */
class SmallProblemsTest {
  private static final SolverConfig CONFIG = SolverConfig.DEFAULT.withStepLimit(60);

  static Stream<Long> thousand() {
    return Cases.seeded(1000);
  }

  static Stream<Long> hundred() {
    return Cases.seeded(100);
  }

  /** A trace and what to do with it. */
  private record Case(RoutingTrace trace, PlacementProblem problem) {
    static Case of(long seed) {
      SplittableRandom random = new SplittableRandom(seed);
      int experts = 1 + random.nextInt(5);
      int layers = 1 + random.nextInt(experts > 4 ? 2 : 3);
      int topK = 1 + random.nextInt(Math.min(3, experts));
      Topology topology = new Topology(1 + random.nextInt(2), 1 + random.nextInt(2));
      switch (random.nextInt(8)) {
        case 0 -> topology = new Topology(1, 3);
        case 1 -> topology = Topology.ofNodes(1, 2);
        case 2 -> topology = topology.withHopCosts(2, 7);
        case 3 ->
            topology =
                new Topology(1, 3).withHopCosts(new int[][] {{0, 1, 4}, {1, 0, 2}, {4, 2, 0}});
        default -> {}
      }

      RoutingTrace trace = Routes.random(layers, experts, topK, random.nextInt(40), seed);
      Objective objective = Objective.values()[random.nextInt(Objective.values().length)];
      PlacementProblem problem =
          PlacementProblem.balanced(Routes.count(trace), topology, objective)
              .withSlots(slots(experts, topology.gpus(), random));
      return new Case(trace, problem.withCaps(caps(problem, random)));
    }

    private static SlotBounds slots(int experts, int gpus, SplittableRandom random) {
      if (random.nextBoolean()) {
        return SlotBounds.balanced(experts, gpus);
      }

      int[] least = random.ints(gpus, 0, 2).toArray();
      int[] most = new int[gpus];
      Arrays.setAll(most, gpu -> least[gpu] + random.nextInt(1 + experts));
      return new SlotBounds(least, most);
    }

    /** None, or up to twice the mean, so that many cases have no placement. */
    private static Caps caps(PlacementProblem problem, SplittableRandom random) {
      if (random.nextInt(3) == 0) {
        return Caps.NONE;
      }

      ModelShape shape = problem.shape();
      long[] cap = new long[shape.layers()];
      double mean = problem.counts().tokens() * shape.topK() / (double) problem.topology().gpus();
      Arrays.setAll(cap, layer -> (long) Math.ceil(mean * (1 + random.nextDouble())));
      return Caps.NONE.withLoad(cap);
    }
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("thousand")
  void exactIsBruteForceAndSearchesNeverBeatIt(long seed) {
    Case c = Case.of(seed);
    BruteForce.Result brute = BruteForce.of(Chain.of(c.problem));
    SolverOutcome exact = new ViterbiSolver().solve(c.problem, CONFIG);
    if (brute.tried() == 0) {
      assertThat(exact.status()).isEqualTo(SolverStatus.INFEASIBLE);
    } else {
      assertThat(exact.status()).isEqualTo(SolverStatus.OPTIMAL);
      assertThat(exact.objective()).isEqualTo(brute.best());
      check(c, exact);
    }

    for (String name : List.of("pool", "sweep", "greedy-load", "vanilla", "random")) {
      SolverOutcome outcome = PlacementSolvers.find(name).solve(c.problem, CONFIG);
      if (outcome.status().hasPlacement()) {
        assertThat(outcome.objective()).as(name).isGreaterThanOrEqualTo(brute.best());
        assertThat(outcome.bound()).as(name).isLessThanOrEqualTo(brute.best());
        assertThat(brute.tried()).isPositive();
        check(c, outcome);
      } else if (outcome.status() == SolverStatus.INFEASIBLE) {
        assertThat(brute.tried()).as(name).isZero();
      } else {
        assertThat(outcome.note()).as(name).isNotEmpty();
      }
    }
  }

  /** What the outcome says is what walking every token says. */
  private static void check(Case c, SolverOutcome outcome) {
    assertThat(c.problem.isMetBy(outcome.placement().orElseThrow())).isTrue();
    PlacementCost walked =
        PlacementCost.replay(Routes.reader(c.trace), outcome.placement().orElseThrow());
    assertThat(c.problem.objective().total(walked)).isEqualTo(outcome.objective());
    Loads loads = walked.loads();
    for (int layer = 0; layer < loads.layers(); layer++) {
      assertThat(loads.hottest(layer)).isLessThanOrEqualTo(c.problem.caps().load(layer));
    }
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("hundred")
  void thePoolMeetsCapsWhereAnyPlacementDoes(long seed) {
    Case c = Case.of(seed);
    BruteForce.Result brute = BruteForce.of(Chain.of(c.problem));
    SolverOutcome pooled =
        new PoolSolver().solve(c.problem, SolverConfig.DEFAULT.withStepLimit(2000));
    if (brute.tried() > 0) {
      assertThat(pooled.status().hasPlacement()).as(pooled.note()).isTrue();
      assertThat(pooled.objective()).isEqualTo(brute.best());
    } else {
      assertThat(pooled.status()).isIn(SolverStatus.INFEASIBLE, SolverStatus.UNKNOWN);
    }
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("hundred")
  void namesChangeNoOptimum(long seed) {
    Case c = Case.of(seed);
    SplittableRandom random = new SplittableRandom(seed);
    int layers = c.problem.shape().layers();
    SolverOutcome before = new ViterbiSolver().solve(c.problem, CONFIG);
    int[] layerOf = identity(layers);
    if (c.problem.objective() == Objective.FANOUT || c.problem.objective() == Objective.LOAD) {
      Starts.shuffle(layerOf, random);
    } else if (random.nextBoolean()) {
      Arrays.setAll(layerOf, layer -> layers - 1 - layer); // hops are the same backwards
    }

    Topology topology = c.problem.topology();
    int[] gpuOf = topology.isSymmetric() ? gpuNames(topology, random) : identity(topology.gpus());
    SlotBounds slots = c.problem.slots();
    int[] least = new int[gpuOf.length];
    int[] most = new int[gpuOf.length];
    Arrays.setAll(least, gpu -> slots.least(gpuOf[gpu]));
    Arrays.setAll(most, gpu -> slots.most(gpuOf[gpu]));
    PlacementProblem renamed =
        PlacementProblem.balanced(
                Routes.count(renamed(c.trace, layerOf, random)), topology, c.problem.objective())
            .withSlots(new SlotBounds(least, most));
    if (c.problem.caps().hasLoad()) {
      long[] cap = new long[layers];
      Arrays.setAll(cap, layer -> c.problem.caps().load(layerOf[layer]));
      renamed = renamed.withCaps(Caps.NONE.withLoad(cap));
    }

    SolverOutcome after = new ViterbiSolver().solve(renamed, CONFIG);
    assertThat(after.status()).isEqualTo(before.status());
    assertThat(after.objective()).isEqualTo(before.objective());
  }

  private static int[] identity(int size) {
    int[] names = new int[size];
    Arrays.setAll(names, i -> i);
    return names;
  }

  /** Nodes renamed, and the GPUs of each. */
  private static int[] gpuNames(Topology topology, SplittableRandom random) {
    int[] nodeOf = identity(topology.nodes());
    Starts.shuffle(nodeOf, random);
    int[] gpuOf = new int[topology.gpus()];
    for (int node = 0; node < nodeOf.length; node++) {
      int[] place = identity(topology.gpusPerNode());
      Starts.shuffle(place, random);
      for (int i = 0; i < place.length; i++) {
        gpuOf[node * place.length + i] = nodeOf[node] * place.length + place[i];
      }
    }

    return gpuOf;
  }

  /** The trace with its layers reordered and the experts of each layer renamed. */
  private static RoutingTrace renamed(RoutingTrace trace, int[] layerOf, SplittableRandom random) {
    ModelShape shape = trace.shape();
    int[][] expertOf = new int[shape.layers()][];
    Arrays.setAll(expertOf, layer -> identity(shape.experts()));
    Arrays.stream(expertOf).forEach(names -> Starts.shuffle(names, random));
    short[] experts = new short[trace.tokens() * shape.choicesPerToken()];
    int at = 0;
    for (int token = 0; token < trace.tokens(); token++) {
      for (int layer = 0; layer < shape.layers(); layer++) {
        for (int rank = 0; rank < shape.topK(); rank++) {
          experts[at++] = (short) expertOf[layer][trace.expert(token, layerOf[layer], rank)];
        }
      }
    }

    return RoutingTrace.ofExperts(shape, experts);
  }
}

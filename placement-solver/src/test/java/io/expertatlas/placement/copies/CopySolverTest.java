package io.expertatlas.placement.copies;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.placement.Caps;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Routes;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.search.Eplb;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.placement.solver.SolverStatus;
import io.expertatlas.trace.Cases;
import java.time.Duration;
import java.util.Arrays;
import java.util.ServiceLoader;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class CopySolverTest {
  private static final SolverConfig CONFIG =
      SolverConfig.DEFAULT.withSeed(4).withStepLimit(20).withTimeLimit(Duration.ofSeconds(2));

  private static CopyProblem problem(
      RouteCounts counts, Topology topology, Objective objective, int redundant) {
    return CopyProblem.ofRedundant(
        PlacementProblem.balanced(counts, topology, objective), redundant);
  }

  private static SolverOutcome solve(String solver, CopyProblem problem) {
    return CopySolver.solve(solver, problem, CONFIG, 1);
  }

  private static CopyProblem random(SplittableRandom random, Objective objective, long seed) {
    Topology topology = new Topology(1 + random.nextInt(3), 1 + random.nextInt(3));
    int experts = 1 + random.nextInt(10);
    int topK = 1 + random.nextInt(experts);
    RouteCounts counts =
        Routes.count(Routes.random(1 + random.nextInt(3), experts, topK, random.nextInt(80), seed));
    int missing = (topology.gpus() - experts % topology.gpus()) % topology.gpus();
    return problem(counts, topology, objective, missing + topology.gpus() * random.nextInt(3));
  }

  static Stream<Long> seeds() {
    return Cases.seeded(40);
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("seeds")
  void loadIsNeverAboveTheGreedysInAnyLayer(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    CopyProblem problem = random(random, Objective.LOAD, seed);
    SolverOutcome ours = solve(CopySolver.AUTO, problem);
    SolverOutcome greedy = solve(CopySolver.EPLB, problem);
    PlacementCost cost = check(problem, ours);
    PlacementCost other = check(problem, greedy);
    for (int layer = 0; layer < cost.loads().layers(); layer++) {
      assertThat(cost.loads().hottest(layer)).isLessThanOrEqualTo(other.loads().hottest(layer));
    }

    assertThat(ours.bound()).isLessThanOrEqualTo(ours.objective());
    assertThat(greedy.bound()).isLessThanOrEqualTo(ours.objective());
  }

  /** The placement has equal slots on all GPUs, and the objective is its cost. */
  private static PlacementCost check(CopyProblem problem, SolverOutcome outcome) {
    Placement placement = outcome.placement().orElseThrow();
    PlacementCost cost = PlacementCost.of(problem.problem().counts(), placement);
    for (int layer = 0; layer < placement.layers(); layer++) {
      assertThat(placement.held(layer)).containsOnly(problem.slotsPerGpu());
    }

    assertThat(outcome.objective()).isEqualTo(problem.problem().objective().total(cost));
    return cost;
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("seeds")
  void noDealIsCoolerThanTheBoundAndTheProgramIsExact(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int gpus = 1 + random.nextInt(3);
    int experts = 1 + random.nextInt(4);
    int slots = gpus * ((experts + gpus - 1) / gpus + random.nextInt(2));
    long[] choices = random.longs(experts, 0, 30).toArray();
    long least = tryAll(choices, gpus, new int[slots], 0);
    assertThat(LoadBound.of(choices, gpus, slots)).isLessThanOrEqualTo(least);
    int[] start = new Eplb(slots, 1, 1, gpus).physicalToLogical(choices);
    Packing packing = new Packing(choices, gpus, start);
    LoadSearch.improve(packing, 0, true, random);
    assertThat(packing.exactHottest()).isGreaterThanOrEqualTo(least);
    ExactPacking exact = ServiceLoader.load(ExactPacking.class).findFirst().orElseThrow();
    if (exact.isSmall(experts, gpus, slots)) {
      ExactPacking.Result result = exact.solve(choices, gpus, start, 20, 1);
      assertThat(result.bound()).isEqualTo(least);
      assertThat(new Packing(choices, gpus, result.expertOf()).exactHottest()).isEqualTo(least);
    }
  }

  private static long tryAll(long[] choices, int gpus, int[] deal, int at) {
    if (at == deal.length) {
      for (int expert = 0; expert < choices.length; expert++) {
        int wanted = expert;
        if (Arrays.stream(deal).noneMatch(e -> e == wanted)) {
          return Long.MAX_VALUE;
        }
      }

      return new Packing(choices, gpus, deal).exactHottest();
    }

    long least = Long.MAX_VALUE;
    int perGpu = deal.length / gpus;
    int first = at % perGpu == 0 ? 0 : deal[at - 1]; // in a GPU by number
    for (int expert = first; expert < choices.length; expert++) {
      deal[at] = expert;
      least = Math.min(least, tryAll(choices, gpus, deal, at + 1));
    }

    return least;
  }

  @ParameterizedTest
  @EnumSource(
      value = Objective.class,
      names = {"HOPS", "CROSSINGS", "FANOUT", "LOAD"})
  void theSamePlanComesFromTheSameSeed(Objective objective) {
    RouteCounts counts = Routes.count(Routes.random(4, 12, 3, 400, 2));
    CopyProblem problem = problem(counts, new Topology(2, 2), objective, 4);
    SolverConfig unhurried = CONFIG.withTimeLimit(Duration.ofMinutes(10));
    SolverOutcome one = CopySolver.solve(CopySolver.AUTO, problem, unhurried, 1);
    SolverOutcome two = CopySolver.solve(CopySolver.AUTO, problem, unhurried, 1);
    assertThat(one.placement()).isEqualTo(two.placement()).isPresent();
    check(problem, one);
    assertThat(one.bound()).isLessThanOrEqualTo(one.objective());
  }

  @ParameterizedTest(name = "seed {0}")
  @ValueSource(longs = {1, 2})
  void copiesSaveHopsAndTouches(long seed) {
    RouteCounts counts = Routes.count(Routes.random(4, 8, 2, 300, seed));
    Topology topology = new Topology(1, 4);
    for (Objective objective : new Objective[] {Objective.HOPS, Objective.FANOUT}) {
      SolverOutcome none = solve(CopySolver.AUTO, problem(counts, topology, objective, 0));
      SolverOutcome some = solve(CopySolver.AUTO, problem(counts, topology, objective, 8));
      SolverOutcome all = solve(CopySolver.AUTO, problem(counts, topology, objective, 24));
      assertThat(some.objective()).isLessThan(none.objective());
      assertThat(all.objective()).isEqualTo(objective == Objective.HOPS ? 0 : 300 * 4);
    }
  }

  @ParameterizedTest(name = "seed {0}")
  @ValueSource(longs = {1, 2})
  void capsOnLoadHoldOrAreRefusedWithTheNumbers(long seed) {
    RouteCounts counts = Routes.count(Routes.random(3, 8, 2, 300, seed));
    CopyProblem load = problem(counts, new Topology(1, 4), Objective.LOAD, 4);
    PlacementCost coolest = check(load, solve(CopySolver.AUTO, load));
    long[] caps = new long[3];
    for (int layer = 0; layer < caps.length; layer++) {
      caps[layer] = coolest.loads().hottest(layer) * 11 / 10;
    }

    for (Objective objective : new Objective[] {Objective.HOPS, Objective.FANOUT}) {
      CopyProblem free = problem(counts, new Topology(1, 4), objective, 4);
      CopyProblem capped =
          new CopyProblem(free.problem().withCaps(Caps.NONE.withLoad(caps)), free.slotsPerGpu());
      SolverOutcome outcome = solve(CopySolver.AUTO, capped);
      PlacementCost cost = check(capped, outcome);
      for (int layer = 0; layer < caps.length; layer++) {
        assertThat(cost.loads().hottest(layer)).isLessThanOrEqualTo(caps[layer]);
      }

      assertThat(outcome.objective()).isLessThanOrEqualTo(objective.total(coolest));
    }

    CopyProblem impossible =
        new CopyProblem(
            load.problem().withCaps(Caps.NONE.withLoad(caps[0], 10, caps[2])), load.slotsPerGpu());
    SolverOutcome refused = solve(CopySolver.AUTO, impossible);
    assertThat(refused.status()).isEqualTo(SolverStatus.INFEASIBLE);
    assertThat(refused.note())
        .matches("layer 1 needs 1\\d\\d choices on its hottest GPU, at most 10");
  }

  @Test
  void loadPlansPayFewerHopsThanTheGreedy() {
    RouteCounts counts = Routes.count(Routes.random(6, 16, 2, 3000, 1));
    CopyProblem problem = problem(counts, new Topology(2, 2), Objective.LOAD, 8);
    PlacementCost ours = check(problem, solve(CopySolver.AUTO, problem));
    PlacementCost greedy = check(problem, solve(CopySolver.EPLB, problem));
    assertThat(ours.hops()).isLessThan(greedy.hops());
    assertThat(ours.loadMeanMaxOverMean()).isLessThanOrEqualTo(greedy.loadMeanMaxOverMean());
  }

  @Test
  void theBalancersPlanIsItsPackingWithGroupsOnNodes() {
    RouteCounts counts = Routes.count(Routes.random(2, 12, 2, 500, 3));
    CopyProblem problem = problem(counts, new Topology(2, 4), Objective.LOAD, 4);
    SolverOutcome outcome = CopySolver.solve("eplb", problem, SolverConfig.DEFAULT, 4);
    assertThat(outcome.note()).isEqualTo("groups on nodes first: 4 groups");
    int[][] slots = new int[2][];
    for (int layer = 0; layer < 2; layer++) {
      slots[layer] = new Eplb(16, 4, 2, 8).physicalToLogical(problem.choices(layer));
    }

    assertThat(outcome.placement()).contains(Placement.ofSlots(new Topology(2, 4), 12, slots));
    SolverOutcome flat = solve(CopySolver.EPLB, problem);
    assertThat(flat.note()).isEqualTo("one flat pass over the GPUs");
    SolverOutcome odd = CopySolver.solve("eplb", problem, SolverConfig.DEFAULT, 5);
    assertThat(odd.status()).isEqualTo(SolverStatus.UNSUPPORTED);
    assertThat(odd.note()).isEqualTo("5 groups do not divide 12 experts");
  }

  @Test
  void whatCannotBeDealtIsRefused() {
    RouteCounts counts = Routes.count(Routes.random(2, 8, 2, 50, 1));
    PlacementProblem one = PlacementProblem.balanced(counts, new Topology(1, 3), Objective.LOAD);
    assertThatThrownBy(() -> CopyProblem.ofRedundant(one, 2))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "Invalid redundant slots: 2 with 8 experts on 3 GPUs, expected 1 or 3 more of them at a time");
    assertThatThrownBy(() -> new CopyProblem(one, 2))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "Invalid slots: 2 per GPU on 3 GPUs, in all at least 8, one for each expert, and at most 1048576");
    CopyProblem problem = CopyProblem.ofRedundant(one, 4);
    assertThat(problem.redundant()).isEqualTo(4);
    assertThatThrownBy(() -> solve("pool", problem))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid solver for redundant slots: pool, one of auto, eplb");
    Placement start = new Placement(new Topology(1, 3), new int[2][8]);
    SolverOutcome warm =
        CopySolver.solve("auto", problem, SolverConfig.DEFAULT.withWarmStart(start), 1);
    assertThat(warm.status()).isEqualTo(SolverStatus.UNSUPPORTED);
  }
}

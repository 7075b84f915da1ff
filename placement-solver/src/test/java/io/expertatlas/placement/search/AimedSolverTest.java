package io.expertatlas.placement.search;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.placement.Caps;
import io.expertatlas.placement.ExhaustiveSolver;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Routes;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.solver.Aims;
import io.expertatlas.placement.solver.Aims.Limits;
import io.expertatlas.placement.solver.PlacementSolver;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.placement.solver.SolverStatus;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalDouble;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class AimedSolverTest {
  private static final Duration BOUND = Duration.ofSeconds(5);

  private static AimedSolver aimed(Aims aims) {
    return new AimedSolver(new ExhaustiveSolver(), aims, BOUND, true, caps -> {});
  }

  private static Limits limits(double load, double overMean, double hops, double fanout) {
    return new Limits(or(load), or(overMean), or(hops), or(fanout));
  }

  private static OptionalDouble or(double value) {
    return value == 0 ? OptionalDouble.empty() : OptionalDouble.of(value);
  }

  private static PlacementProblem problem(SplittableRandom random, long seed) {
    Topology topology =
        random.nextBoolean() ? new Topology(1, 2) : new Topology(2, 1 + random.nextInt(2));
    int experts = topology.gpus() == 2 ? 4 : 3;
    return PlacementProblem.balanced(
        Routes.count(Routes.random(1 + random.nextInt(3), experts, 2, 30, seed)),
        topology,
        Objective.HOPS);
  }

  static Stream<Long> forty() {
    return io.expertatlas.trace.Cases.seeded(40);
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("forty")
  void objectivesInTurnAreThoseOfTheBestOfAllPlacements(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    PlacementProblem problem = problem(random, seed);
    List<Objective> order =
        new ArrayList<>(List.of(Objective.HOPS, Objective.FANOUT, Objective.LOAD));
    java.util.Collections.rotate(order, random.nextInt(3));
    SolverOutcome outcome =
        aimed(new Aims(order, 0, Limits.NONE)).solve(problem, SolverConfig.DEFAULT);

    List<PlacementCost> left =
        ExhaustiveSolver.all(problem).stream()
            .map(placement -> PlacementCost.of(problem.counts(), placement))
            .toList();
    for (Objective objective : order) {
      List<PlacementCost> before = left;
      long least = before.stream().mapToLong(objective::total).min().getAsLong();
      left = before.stream().filter(cost -> objective.total(cost) == least).toList();
      if (objective == Objective.LOAD && order.indexOf(objective) < 2) {
        break; // later ones are within the loads of each layer, not within their sum
      }

      PlacementCost found = PlacementCost.of(problem.counts(), outcome.placement().orElseThrow());
      assertThat(objective.total(found)).as(objective.word()).isEqualTo(least);
    }

    assertThat(outcome.objective())
        .isEqualTo(
            order.get(2).total(PlacementCost.of(problem.counts(), outcome.placement().get())));
    assertThat(outcome.bound()).isLessThanOrEqualTo(outcome.objective());
    assertThat(outcome.note()).startsWith("after " + order.get(0).word() + " ");
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("forty")
  void capsAreMetAndTheBestWithinThemIsFound(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    PlacementProblem problem = problem(random, seed);
    double factor = 1 + random.nextDouble() / 2;
    List<Caps> seen = new ArrayList<>();
    SolverOutcome outcome =
        new AimedSolver(
                new ExhaustiveSolver(),
                new Aims(List.of(Objective.HOPS), 0, limits(factor, 0, 0, 0)),
                BOUND,
                true,
                seen::add)
            .solve(problem, SolverConfig.DEFAULT);
    PlacementProblem load = problem.withObjective(Objective.LOAD);
    PlacementCost least =
        PlacementCost.of(
            problem.counts(),
            new ExhaustiveSolver().solve(load, SolverConfig.DEFAULT).placement().orElseThrow());
    assertThat(seen).hasSize(1);
    for (int layer = 0; layer < problem.shape().layers(); layer++) {
      assertThat(seen.get(0).load(layer))
          .isEqualTo((long) Math.floor(factor * least.loads().hottest(layer) + 1e-9));
    }

    PlacementProblem capped = problem.withCaps(seen.get(0));
    assertThat(capped.isMetBy(outcome.placement().orElseThrow())).isTrue();
    assertThat(outcome.objective())
        .isEqualTo(new ExhaustiveSolver().solve(capped, SolverConfig.DEFAULT).objective());
  }

  @Test
  void limitsOnMeansBecomeCapsOnTotals() {
    PlacementProblem problem = Routes.problem(Routes.random(3, 4, 2, 50, 1), 1, 2);
    List<Caps> seen = new ArrayList<>();
    new AimedSolver(
            new ExhaustiveSolver(),
            new Aims(List.of(Objective.LOAD), 0, limits(0, 1.5, 1.2, 1.9)),
            BOUND,
            true,
            seen::add)
        .solve(problem, SolverConfig.DEFAULT);
    assertThat(seen.get(0).total(Objective.HOPS)).isEqualTo(60); // 50 tokens
    assertThat(seen.get(0).total(Objective.FANOUT)).isEqualTo(285); // 150 tokens and layers
    assertThat(seen.get(0).load(0)).isEqualTo(75); // 100 choices, 2 GPUs
  }

  @Test
  void whatNoPlacementCanMeetIsSaidWithTheNumbers() {
    PlacementProblem problem =
        Routes.problem(Routes.trace(4, new int[][] {{0}, {0}, {0}, {0}, {1}, {2}}), 1, 2);
    SolverOutcome outcome =
        aimed(new Aims(List.of(Objective.HOPS), 0, limits(0, 1.1, 0, 0)))
            .solve(problem, SolverConfig.DEFAULT);
    assertThat(outcome.status()).isEqualTo(SolverStatus.INFEASIBLE);
    assertThat(outcome.note())
        .isEqualTo(
            "layer 0 may have 3 choices on a GPU, no placement has fewer than 4 on its hottest");
    SolverOutcome hops =
        aimed(new Aims(List.of(Objective.LOAD), 0, limits(0, 0, 0, 0.5)))
            .solve(problem, SolverConfig.DEFAULT);
    assertThat(hops.status()).isEqualTo(SolverStatus.INFEASIBLE);
    assertThat(hops.note()).isEqualTo("tried them all");
  }

  @Test
  void slackLetsAnObjectiveRiseForTheNext() {
    PlacementProblem problem = Routes.problem(Routes.random(3, 4, 2, 200, 5), 1, 2);
    long tight =
        aimed(new Aims(List.of(Objective.HOPS, Objective.LOAD), 0, Limits.NONE))
            .solve(problem, SolverConfig.DEFAULT)
            .objective();
    SolverOutcome loose =
        aimed(new Aims(List.of(Objective.HOPS, Objective.LOAD), 1, Limits.NONE))
            .solve(problem, SolverConfig.DEFAULT);
    assertThat(loose.objective()).isLessThanOrEqualTo(tight);
    long least = new ExhaustiveSolver().solve(problem, SolverConfig.DEFAULT).objective();
    assertThat(PlacementCost.of(problem.counts(), loose.placement().orElseThrow()).hops())
        .isLessThanOrEqualTo(2 * least);
  }

  @Test
  void aPlanWithinTheCapsIsNeverLost() {
    PlacementSolver idle =
        new PlacementSolver() {
          @Override
          public String name() {
            return "idle";
          }

          @Override
          public SolverOutcome solve(PlacementProblem problem, SolverConfig config) {
            return new SolverOutcome(
                name(),
                SolverStatus.UNKNOWN,
                java.util.Optional.empty(),
                0,
                0,
                0,
                config.seed(),
                "it slept");
          }
        };
    PlacementProblem problem = Routes.problem(Routes.random(3, 4, 2, 50, 1), 1, 2);
    SolverOutcome outcome =
        new AimedSolver(
                idle,
                new Aims(List.of(Objective.HOPS), 0, limits(1.2, 0, 0, 0)),
                BOUND,
                true,
                caps -> {})
            .solve(problem, SolverConfig.DEFAULT);
    assertThat(outcome.placement()).isPresent();
    assertThat(outcome.note()).contains("the plan that it began with, as it slept");
    assertThat(
            new AimedSolver(
                    idle,
                    new Aims(List.of(Objective.HOPS), 0, Limits.NONE),
                    BOUND,
                    true,
                    caps -> {})
                .solve(problem, SolverConfig.DEFAULT)
                .status())
        .isEqualTo(SolverStatus.UNKNOWN);
  }

  @Test
  void aimsAreChecked() {
    assertThatThrownBy(() -> new Aims(List.of(), 0, Limits.NONE))
        .hasMessage("Invalid objectives: , each once, at least one");
    assertThatThrownBy(() -> new Aims(List.of(Objective.HOPS, Objective.HOPS), 0, Limits.NONE))
        .hasMessage("Invalid objectives: hops, hops, each once, at least one");
    assertThatThrownBy(() -> new Aims(List.of(Objective.HOPS), -1, Limits.NONE))
        .hasMessage("Invalid slack: -1.0, at least 0");
    assertThatThrownBy(() -> limits(0.9, 0, 0, 0))
        .hasMessage("Invalid cap on load, as a multiple of the best achievable: 0.9, at least 1.0");
    assertThatThrownBy(() -> limits(0, 0, Double.NaN, 0))
        .hasMessage("Invalid cap on hops a token: NaN, at least 0.0");
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("forty")
  void relabellingIsTheBestOfAllNamesAndChangesNothingElse(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    Topology topology =
        List.of(new Topology(1, 3), new Topology(2, 2), new Topology(3, 1), new Topology(2, 1))
            .get(random.nextInt(4))
            .withHopCosts(1, 1 + random.nextInt(4));
    PlacementProblem problem =
        PlacementProblem.balanced(
            Routes.count(Routes.random(3, 6, 2, 60, seed)), topology, Objective.HOPS);
    int[][] map = new int[3][6];
    for (int[] layer : map) {
      java.util.Arrays.setAll(layer, e -> random.nextInt(topology.gpus()));
    }

    Placement before = new Placement(topology, map);
    Placement after = Relabel.of(problem.counts().transitions(), before).orElseThrow();
    PlacementCost old = PlacementCost.of(problem.counts(), before);
    PlacementCost cost = PlacementCost.of(problem.counts(), after);
    assertThat(cost.gpuTouches()).isEqualTo(old.gpuTouches());
    assertThat(cost.nodeTouches()).isEqualTo(old.nodeTouches());
    for (int layer = 0; layer < 3; layer++) {
      assertThat(loads(cost, layer)).isEqualTo(loads(old, layer));
    }

    assertThat(cost.hops()).isEqualTo(bestOfAllNames(problem, map));
    assertThat(
            Relabel.of(problem.counts().transitions(), after)
                .map(p -> PlacementCost.of(problem.counts(), p).hops()))
        .contains(cost.hops());
  }

  private static List<Long> loads(PlacementCost cost, int layer) {
    List<Long> loads = new ArrayList<>();
    for (int gpu = 0; gpu < cost.loads().gpus(); gpu++) {
      loads.add(cost.loads().choices(layer, gpu));
    }

    loads.sort(null);
    return loads;
  }

  private static long bestOfAllNames(PlacementProblem problem, int[][] map) {
    Topology topology = problem.topology();
    List<int[]> names = new ArrayList<>();
    permutations(topology, new int[topology.gpus()], 0, names);
    long best = Long.MAX_VALUE;
    for (int[] second : names) {
      for (int[] third : names) {
        int[][] renamed = new int[3][6];
        for (int e = 0; e < 6; e++) {
          renamed[0][e] = map[0][e];
          renamed[1][e] = second[map[1][e]];
          renamed[2][e] = third[map[2][e]];
        }

        best =
            Math.min(
                best, PlacementCost.of(problem.counts(), new Placement(topology, renamed)).hops());
      }
    }

    return best;
  }

  /** All renamings that keep GPUs of a node in one node. */
  private static void permutations(Topology topology, int[] names, int at, List<int[]> found) {
    if (at == names.length) {
      boolean keepsNodes = true;
      for (int i = 0; i < at; i++) {
        for (int j = 0; j < i; j++) {
          keepsNodes &=
              (topology.node(i) == topology.node(j))
                  == (topology.node(names[i]) == topology.node(names[j]));
        }
      }

      if (keepsNodes) {
        found.add(names.clone());
      }

      return;
    }

    for (int name = 0; name < names.length; name++) {
      boolean isFree = true;
      for (int i = 0; i < at; i++) {
        isFree &= names[i] != name;
      }

      if (isFree) {
        names[at] = name;
        permutations(topology, names, at + 1, found);
      }
    }
  }

  @Test
  void namesThatAreNotFreeAreKept() {
    PlacementProblem problem = Routes.problem(Routes.CASE_A, 1, 2);
    int[][] map = {{0, 1, 1, 1}, {1, 0, 1, 1}, {0, 1, 1, 1}};
    for (Topology topology :
        List.of(
            new Topology(1, 2).withSlots(1, 3),
            new Topology(1, 2).withHopCosts(new int[][] {{0, 1}, {1, 0}}))) {
      Placement placement = new Placement(topology, map);
      assertThat(Relabel.of(problem.counts().transitions(), placement)).contains(placement);
    }

    Placement copies =
        Placement.ofCopies(
            new Topology(1, 2),
            new int[][][] {{{0, 1}, {0}, {1}, {1}}, {{0}, {0}, {1}, {1}}, {{0}, {0}, {1}, {1}}});
    assertThat(Relabel.of(problem.counts().transitions(), copies)).isEmpty();
  }
}

package io.expertatlas.placement.ortools;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.ortools.sat.CpSolverStatus;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Routes;
import io.expertatlas.placement.search.Starts;
import io.expertatlas.placement.search.Sweeps;
import io.expertatlas.placement.search.ViterbiSolver;
import io.expertatlas.placement.solver.Chain;
import io.expertatlas.placement.solver.SolverConfig;
import java.util.Arrays;
import java.util.Optional;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What is benchmarked does solve windows. */
class WindowProgramTest {
  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4})
  void aWindowOfAllLayersIsTheWholeProblem(long seed) {
    int nodes = 1 + (int) seed % 2;
    PlacementProblem problem =
        Routes.problem(Routes.random(3, 6, 1, 200, seed), nodes, nodes == 1 ? 3 : 1);
    Chain chain = Chain.of(problem);
    int[][] start = Starts.vanilla(problem);

    long found = chain.cost(solved(chain, start, 0, 2));

    assertThat(found)
        .isEqualTo(new ViterbiSolver().solve(problem, SolverConfig.DEFAULT).objective());
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4})
  void nothingIsLeftForWindowsOfOneLayerAfterASweep(long seed) {
    PlacementProblem problem = Routes.problem(Routes.random(3, 8, 1, 200, seed), 2, 2);
    Chain chain = Chain.of(problem);
    int[][] swept = new Sweeps(chain, () -> false).improve(Starts.vanilla(problem));
    for (int layer = 0; layer < 3; layer++) {
      CpSolverStatus[] status = new CpSolverStatus[1];
      assertThat(new WindowProgram(chain, swept, layer, layer).solve(60, status)).isEmpty();
      assertThat(status[0]).isEqualTo(CpSolverStatus.INFEASIBLE);
    }

    int[][] wider = solved(chain, swept, 1, 2);
    assertThat(chain.cost(wider)).isLessThanOrEqualTo(chain.cost(swept));
    assertThat(Arrays.equals(wider[0], swept[0])).isTrue();
  }

  private static int[][] solved(Chain chain, int[][] start, int first, int last) {
    CpSolverStatus[] status = new CpSolverStatus[1];
    Optional<int[][]> better = new WindowProgram(chain, start, first, last).solve(60, status);
    assertThat(status[0]).isIn(CpSolverStatus.OPTIMAL, CpSolverStatus.INFEASIBLE);
    better.ifPresent(
        map -> {
          assertThat(chain.isMetBy(map)).isTrue();
          assertThat(chain.cost(map)).isLessThan(chain.cost(start));
        });
    return better.orElse(start);
  }
}

package io.expertatlas.placement.search;

import io.expertatlas.placement.Objective;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.trace.ModelShape;
import java.time.Duration;

/**
 * How close {@code pool} comes to a placement planted in 61 layers of 128 experts on 8 nodes of 8
 * GPUs, top-8, 20,000 tokens. With {@code target/lib} and the test classes on the class path:
 *
 * <pre>
 * java -Xmx4g -cp ... io.expertatlas.placement.search.PlantedBenchmark SECONDS THREADS [SEED]
 * </pre>
 */
final class PlantedBenchmark {
  private PlantedBenchmark() {}

  public static void main(String[] arguments) {
    Duration limit = Duration.ofSeconds(Long.parseLong(arguments[0]));
    int threads = Integer.parseInt(arguments[1]);
    long seed = arguments.length > 2 ? Long.parseLong(arguments[2]) : 1;
    Planted planted = Planted.draw(new ModelShape(61, 128, 8), new Topology(8, 8), 20_000, 7);
    PlacementProblem problem =
        PlacementProblem.balanced(planted.counts(), planted.placement().topology(), Objective.HOPS);
    double optimum = Objective.HOPS.total(PlacementCost.of(planted.counts(), planted.placement()));
    SolverOutcome outcome =
        new PoolSolver()
            .solve(
                problem,
                SolverConfig.DEFAULT
                    .withTimeLimit(limit)
                    .withThreads(threads)
                    .withSeed(seed)
                    .withProgress(
                        step ->
                            System.err.printf(
                                "%.1f s: %.4f of the planted%n",
                                step.seconds(), step.objective() / optimum)));
    System.out.printf(
        "seed %d: %.4f of the planted hops after %.1f s, bound %.4f, heap %d MiB%n",
        seed,
        outcome.objective() / optimum,
        outcome.seconds(),
        outcome.bound() / optimum,
        Runtime.getRuntime().totalMemory() >> 20);
  }
}

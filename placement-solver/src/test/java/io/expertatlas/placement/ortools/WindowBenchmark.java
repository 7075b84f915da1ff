package io.expertatlas.placement.ortools;

import com.google.ortools.sat.CpSolverStatus;
import io.expertatlas.affinity.arrow.AffinityFiles;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.search.PoolSolver;
import io.expertatlas.placement.solver.Chain;
import io.expertatlas.placement.solver.SolverConfig;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Optional;
import java.util.SplittableRandom;

/**
 * Whether windows of layers on CP-SAT lower hops faster than {@code pool} goes on to: a plan of the
 * pool after some seconds, then either windows of it solved for as many seconds again, or the pool
 * for twice as long. With {@code target/lib} and the test classes on the class path:
 *
 * <pre>
 * java -Xmx4g -cp ... io.expertatlas.placement.ortools.WindowBenchmark AFFINITY NODES GPUS SECONDS WIDTH LIMIT [SEED]
 * </pre>
 *
 * {@code LIMIT} is that of a window, in CP-SAT's deterministic seconds. One thread.
 */
final class WindowBenchmark {
  private WindowBenchmark() {}

  public static void main(String[] arguments) throws IOException {
    Topology topology =
        new Topology(Integer.parseInt(arguments[1]), Integer.parseInt(arguments[2]));
    long seconds = Long.parseLong(arguments[3]);
    int width = Integer.parseInt(arguments[4]);
    double limit = Double.parseDouble(arguments[5]);
    long seed = arguments.length > 6 ? Long.parseLong(arguments[6]) : 1;
    PlacementProblem problem =
        PlacementProblem.balanced(
            AffinityFiles.read(Path.of(arguments[0])), topology, Objective.HOPS);
    Chain chain = Chain.of(problem);
    double tokens = problem.counts().tokens();
    SolverConfig config =
        SolverConfig.DEFAULT.withSeed(seed).withTimeLimit(Duration.ofSeconds(seconds));
    int[][] map = new PoolSolver().solve(problem, config).placement().orElseThrow().toArray();
    double begin = chain.cost(map) / tokens;

    long until = cpuNanos() + seconds * 1_000_000_000;
    SplittableRandom random = new SplittableRandom(seed);
    int windows = 0;
    int better = 0;
    int exhausted = 0;
    for (; cpuNanos() < until; windows++) {
      int first = random.nextInt(chain.layers() - width + 1);
      CpSolverStatus[] status = new CpSolverStatus[1];
      Optional<int[][]> found =
          new WindowProgram(chain, map, first, first + width - 1).solve(limit, status);
      exhausted +=
          status[0] == CpSolverStatus.OPTIMAL || status[0] == CpSolverStatus.INFEASIBLE ? 1 : 0;
      if (found.isPresent()) {
        if (chain.cost(found.get()) >= chain.cost(map) || !chain.isMetBy(found.get())) {
          throw new IllegalStateException(
              "Not better: %s".formatted(Arrays.deepToString(found.get())));
        }

        map = found.get();
        better++;
      }
    }

    long longer =
        new PoolSolver()
            .solve(problem, config.withTimeLimit(Duration.ofSeconds(2 * seconds)))
            .objective();
    System.out.printf(
        "seed %d: %.4f hops a token after %d s of pool; %.4f after %d s of windows of %d layers"
            + " (%d, %d of them to the end, %d better); %.4f after %d s of pool%n",
        seed,
        begin,
        seconds,
        chain.cost(map) / tokens,
        seconds,
        width,
        windows,
        exhausted,
        better,
        longer / tokens,
        2 * seconds);
  }

  /** CP-SAT on one worker solves on the calling thread. */
  private static long cpuNanos() {
    return ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
  }
}

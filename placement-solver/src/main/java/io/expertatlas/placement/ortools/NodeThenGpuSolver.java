package io.expertatlas.placement.ortools;

import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.search.GapBound;
import io.expertatlas.placement.solver.PlacementSolver;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.placement.solver.SolverRun;
import java.util.stream.IntStream;

/**
 * First all nodes by one pair program, then the GPUs of each node by another (ExFlow without
 * bisection). The second step does not see pairs that cross nodes.
 */
public final class NodeThenGpuSolver implements PlacementSolver {
  @Override
  public String name() {
    return "node-then-gpu";
  }

  @Override
  public SolverOutcome solve(PlacementProblem problem, SolverConfig config) {
    return SolverRun.ofUsualPairs(name(), problem, config, NodeThenGpuSolver::solve);
  }

  private static SolverOutcome solve(SolverRun run) {
    Topology topology = run.problem().topology();
    int perNode = topology.gpusPerNode();
    Splitter splitter = new Splitter(run, topology.nodes() + 1);
    if (topology.nodes() > 1) {
      splitter.split(IntStream.rangeClosed(0, topology.nodes()).map(n -> n * perNode).toArray());
    }

    for (int node = 0; perNode > 1 && node < topology.nodes(); node++) {
      splitter.split(IntStream.rangeClosed(node * perNode, (node + 1) * perNode).toArray());
    }

    return run.solved(splitter.map(), GapBound.of(run.chain()), splitter.note());
  }
}

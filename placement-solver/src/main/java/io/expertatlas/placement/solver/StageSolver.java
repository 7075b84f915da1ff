package io.expertatlas.placement.solver;

/**
 * Finds the stages of least makespan under a byte budget. Found through {@link
 * java.util.ServiceLoader}, as it needs a library.
 */
public interface StageSolver {
  /**
   * Solves a problem.
   *
   * @param effort deterministic seconds to look for a proof: the same answer on every machine
   */
  StageOutcome solve(StageProblem problem, double effort, long seed);
}

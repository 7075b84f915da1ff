package io.expertatlas.placement.solver;

/**
 * How far a solver is.
 *
 * @param step what it is doing, in a few words
 * @param objective best objective so far, of this step's own part of the problem
 * @param bound proven lower bound of the same
 * @param seconds since the solver began
 */
public record SolverProgress(String step, long objective, long bound, double seconds) {}

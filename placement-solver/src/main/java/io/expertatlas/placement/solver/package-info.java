/**
 * What every placement solver takes and gives: a problem and a configuration in, an outcome out.
 * Solvers are found by name through {@link java.util.ServiceLoader}. JDK only.
 *
 * <p>Objectives and bounds are exact totals over the tokens of the problem, never means. That a
 * problem has no solution, is too large, or that time ran out is an outcome, not an exception.
 */
package io.expertatlas.placement.solver;

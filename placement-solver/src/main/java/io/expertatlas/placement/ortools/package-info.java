/**
 * The placement program on OR-Tools: CP-SAT for parts of any shape, linear assignments for one
 * expert per GPU. The only package that loads native code.
 *
 * <p>May import OR-Tools, the nouns, {@code .solver} and {@code .search}.
 */
package io.expertatlas.placement.ortools;

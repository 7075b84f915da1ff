/**
 * Baselines, local search, bounds and dynamic programming of our own. JDK only.
 *
 * <p>May import the nouns and {@code .solver}. Costs are exact {@code long} totals.
 */
package io.expertatlas.placement.search;

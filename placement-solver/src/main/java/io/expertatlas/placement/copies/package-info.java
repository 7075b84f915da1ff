/**
 * Placements with redundant slots: which experts get copies, how many, and where. The deal of one
 * layer's slots is a {@code Packing}; searches change it, an {@code ExactPacking} proves it where
 * it is small.
 *
 * <p>Loads are in choices, where an expert's copies share its choices evenly. May import the nouns,
 * {@code .solver} and {@code .search}.
 */
package io.expertatlas.placement.copies;

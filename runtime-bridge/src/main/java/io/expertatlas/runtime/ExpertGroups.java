package io.expertatlas.runtime;

/**
 * The choices of a batch sorted by the expert that computes them; see {@link Device#groupByExpert}.
 * A choice is numbered {@code row * k + rank}. Choices whose expert is not here have no place.
 *
 * @param order I32 {@code [rows * k]}: the choice that stands at a place, for the places in use
 * @param place I32 {@code [rows, k]}: the place of a choice, -1 if its expert is not here
 * @param offsets I32 {@code [local experts + 1]}: first place of each local expert; the last entry
 *     is the number of places in use
 */
public record ExpertGroups(Tensor order, Tensor place, Tensor offsets) {}

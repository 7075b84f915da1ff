/**
 * The nouns of a routing trace: which experts each token of a Mixture-of-Experts model visited.
 *
 * <p>JDK only. Expert ids are layer-local and dense, 0 to {@code experts - 1}; the global id of an
 * expert in files is {@code layer * experts + expert}. Dense arrays are row-major, {@code
 * [token][layer][rank]}, everywhere in the project.
 */
package io.expertatlas.trace;

/**
 * The nouns of affinity: how often experts are chosen, which experts follow each other from layer
 * to layer, and which are chosen together. JDK only.
 *
 * <p>Counts are exact {@code long}s. Dense arrays are row-major, {@code [layer][expert]} and {@code
 * [gap][from][to]}, where gap {@code l} lies between MoE layers {@code l} and {@code l + 1}.
 */
package io.expertatlas.affinity;

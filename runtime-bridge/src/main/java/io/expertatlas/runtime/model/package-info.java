/**
 * The forward pass of each architecture, written once over {@link io.expertatlas.runtime.Device}
 * operations and for any number of ranks, and the generation of tokens with it. JDK only.
 *
 * <p>In comments T is the number of rows (tokens) of a rank in a step, H the hidden size, E the
 * number of experts, k the experts of a token.
 */
package io.expertatlas.runtime.model;

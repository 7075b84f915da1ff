/**
 * The nouns of placement: a cluster, where each expert lives on it, and what that costs the tokens
 * of a trace. JDK only.
 *
 * <p>GPUs are numbered through the whole cluster, 0 to {@code gpus - 1}, those of a node next to
 * each other. Hard and soft numbers are never folded into one.
 */
package io.expertatlas.placement;

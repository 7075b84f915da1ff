/**
 * The commands of the trace stage: {@code ingest} and {@code inspect}.
 *
 * <p>May import picocli, Jackson and everything of this module but its internals.
 */
package io.expertatlas.trace.cli;

package io.expertatlas.trace;

import java.util.Optional;

/**
 * Reads counts over time, a window at a time, in the order of their steps where the files have one,
 * in memory that does not grow with the number of windows. Not safe for several threads.
 *
 * <p>Where a program counts physical experts (replicas, or experts that moved), the format has
 * mapped them back: counts are of logical experts. Every window has been checked; what is wrong is
 * thrown as {@link TraceFormatException} when it is met, with its place in the file.
 */
public interface CountsReader extends AutoCloseable {
  /** MoE layers. */
  int layers();

  /** Logical experts in each layer. */
  int experts();

  /** The next window, or empty at the end. */
  Optional<ExpertCounts> next();

  @Override
  void close();
}

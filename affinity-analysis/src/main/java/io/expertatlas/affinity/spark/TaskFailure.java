package io.expertatlas.affinity.spark;

import io.expertatlas.trace.TraceFormatException;

/** Finds what went wrong in a task under what Spark wraps around it. */
final class TaskFailure {
  private TaskFailure() {}

  /** The exception to throw on the driver. */
  static RuntimeException unwrap(Exception failure) {
    for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
      if (cause instanceof TraceFormatException) {
        return new TraceFormatException(cause.getMessage(), failure);
      }
    }

    Throwable root = failure;
    while (root.getCause() != null) {
      root = root.getCause();
    }

    String message =
        root.getMessage() == null ? root.getClass().getSimpleName() : root.getMessage();
    return new IllegalStateException(
        "Cannot count routes: " + message.lines().findFirst().orElse(""), failure);
  }
}

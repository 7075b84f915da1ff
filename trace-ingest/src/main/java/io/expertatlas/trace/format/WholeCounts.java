package io.expertatlas.trace.format;

import com.fasterxml.jackson.databind.JsonNode;
import io.expertatlas.trace.TraceFormatException;

/** Counts that programs write as whole or as floating-point numbers. */
final class WholeCounts {
  /** Beyond this, a double does not hold every whole number. */
  private static final double MAX = 1L << 53;

  private WholeCounts() {}

  /** A count in JSON; the rest is its place, for messages. */
  static long of(
      JsonNode value, Object file, String windowName, long window, int layer, int expert) {
    if (!value.isNumber()) {
      throw new TraceFormatException(
          "Invalid count %s in %s, %s %d, layer %d, expert %d: expected a number"
              .formatted(Json.shorten(value), file, windowName, window, layer, expert));
    }

    return of(value.asDouble(), file, windowName, window, layer, expert);
  }

  /** A count as a floating-point number. */
  static long of(double value, Object file, String windowName, long window, int layer, int expert) {
    if (!(value >= 0 && value <= MAX) || value != Math.rint(value)) {
      throw new TraceFormatException(
          "Invalid count %s in %s, %s %d, layer %d, expert %d: expected a whole number of at least 0"
              .formatted(value, file, windowName, window, layer, expert));
    }

    return (long) value;
  }
}

package io.expertatlas.trace.format;

import java.util.List;

/** Closes files that were only read, where a failure to close loses nothing. */
final class Closing {
  private Closing() {}

  static void quietly(List<? extends AutoCloseable> all) {
    for (AutoCloseable one : all) {
      try {
        one.close();
      } catch (Exception e) {
        // Nothing was written: what was read stays true.
      }
    }
  }
}

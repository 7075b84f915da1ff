package io.expertatlas.predictor;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The last token of each sequence, of the sequences seen last: traces of engines interleave
 * sequences. Mutable.
 */
final class PreviousRoutes {
  private static final int SEQUENCES = 1 << 13;

  private final Map<Integer, int[]> last = // sequence -> [layer][rank]; oldest use first
      new LinkedHashMap<>(16, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<Integer, int[]> eldest) {
          return size() > SEQUENCES;
        }
      };

  /** Copies the sequence's last token; false if there is none. */
  boolean copy(int sequence, int[] into) {
    int[] routes = last.get(sequence);
    if (routes == null) {
      return false;
    }

    System.arraycopy(routes, 0, into, 0, into.length);
    return true;
  }

  void put(int sequence, int[] routes) {
    last.computeIfAbsent(sequence, id -> new int[routes.length]);
    System.arraycopy(routes, 0, last.get(sequence), 0, routes.length);
  }
}

package io.expertatlas.trace.format;

import io.expertatlas.trace.TraceFormatException;
import java.util.Arrays;

/**
 * Routes of one sequence that a serving engine returned with its answer.
 *
 * @param place where they stand, for messages
 * @param layers length of the layer axis, dense layers included if they are there
 * @param topK experts of a token in a layer
 * @param ids {@code [token][layer][rank]}
 * @param position {@code [token]} in the sequence
 * @param prompt tokens of the sequence that are its prompt
 */
record RequestRoutes(String place, int layers, int topK, int[] ids, int[] position, long prompt) {
  RequestRoutes {
    if (ids.length != (long) position.length * layers * topK) {
      throw new IllegalArgumentException("Invalid number of ids: " + ids.length);
    }
  }

  int tokens() {
    return position.length;
  }

  int width() {
    return layers * topK;
  }

  /**
   * The same without tokens that hold -1 only, whose routes the engine did not keep.
   *
   * @throws TraceFormatException if there are such and they are not to be dropped
   */
  RequestRoutes withoutMissing(boolean drop) {
    int width = width();
    boolean[] missing = new boolean[tokens()];
    int count = 0;
    for (int token = 0; token < tokens(); token++) {
      int at = token * width;
      missing[token] = width > 0 && Arrays.stream(ids, at, at + width).allMatch(id -> id == -1);
      count += missing[token] ? 1 : 0;
      if (missing[token] && !drop) {
        throw new TraceFormatException(
            "Missing routes in %s, token %d: all ids are -1, as of a cached prefix. Maybe leave such tokens out with --format-option missing=drop"
                .formatted(place, token));
      }
    }

    if (count == 0) {
      return this;
    }

    int[] keptIds = new int[(tokens() - count) * width];
    int[] keptPosition = new int[tokens() - count];
    int kept = 0;
    for (int token = 0; token < tokens(); token++) {
      if (!missing[token]) {
        System.arraycopy(ids, token * width, keptIds, kept * width, width);
        keptPosition[kept++] = position[token];
      }
    }

    return new RequestRoutes(place, layers, topK, keptIds, keptPosition, prompt);
  }
}

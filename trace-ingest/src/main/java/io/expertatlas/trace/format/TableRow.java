package io.expertatlas.trace.format;

/**
 * What a line of a table says: of a token in all layers, or in one.
 *
 * @param layer label of the layer, or {@link #ALL}
 * @param ids {@code [layer][rank]}
 * @param weights the same, or empty
 * @param sequence or {@link #ABSENT}
 * @param position or {@link #ABSENT}
 * @param phase or {@link #ABSENT}
 */
record TableRow(
    long layer, long[][] ids, float[][] weights, int sequence, int position, int phase) {
  static final long ALL = -1;
  static final int ABSENT = -1;

  /** Reads lines. */
  interface Parser {
    /**
     * Reads a line.
     *
     * @param place such as {@code "trace.csv, line 3"}
     */
    TableRow parse(String line, String place);
  }
}

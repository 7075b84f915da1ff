package io.expertatlas.trace.parquet;

/**
 * A dictionary of unsigned ids of 16 bits, and what several indices side by side stand for at once:
 * for indices of few bits, four or two of them are one look into a table of at most 32 KiB.
 */
final class IdLookup {
  private static final int MAX_BITS = 12; // of the indices of a lane
  private static final int VALUES_PER_ENTRY = 8; // fewer, and making the table takes longer
  private static final int LANE_BITS = Short.SIZE;
  private static final long MARKS = 0x8000_8000_8000_8000L;

  private final short[] ids; // [index]
  private final boolean marked; // no id has the highest bit, which then marks what is no index
  private int bits; // of the indices
  private int lanes = 1;
  private long[] fours = {}; // [four indices], the first lowest
  private int[] twos = {}; // [two indices]

  IdLookup(int[] dictionary) {
    ids = new short[dictionary.length];
    boolean free = true;
    for (int i = 0; i < ids.length; i++) {
      ids[i] = (short) dictionary[i];
      free &= ids[i] >= 0;
    }

    marked = free;
  }

  /**
   * Makes the tables for indices of so many bits, if they pay for so many values.
   *
   * @throws IllegalArgumentException if the bits are not those of an index
   */
  void prepare(int indexBits, int values) {
    if (indexBits < 0 || indexBits > Integer.SIZE) {
      throw new IllegalArgumentException("an index of %d bits".formatted(indexBits));
    }

    bits = indexBits;
    lanes = pays(4, values) ? 4 : pays(2, values) ? 2 : 1;
    if (lanes == 4 && fours.length != 1 << 4 * bits) {
      fours = new long[1 << 4 * bits];
      for (int i = 0; i < fours.length; i++) {
        fours[i] = together(i);
      }
    } else if (lanes == 2 && twos.length != 1 << 2 * bits) {
      twos = new int[1 << 2 * bits];
      for (int i = 0; i < twos.length; i++) {
        twos[i] = (int) together(i);
      }
    }
  }

  private boolean pays(int together, int values) {
    int tableBits = together * bits;
    return marked && bits > 0 && tableBits <= MAX_BITS && VALUES_PER_ENTRY << tableBits <= values;
  }

  private long together(int indices) {
    long all = 0;
    for (int lane = 0; lane < lanes; lane++) {
      int index = indices >>> lane * bits & (1 << bits) - 1;
      long id = index < ids.length ? ids[index] : 0xffff;
      all |= (id & 0xffff) << lane * LANE_BITS;
    }

    return all;
  }

  /** How many indices are looked up at once: 4, 2 or 1. */
  int lanes() {
    return lanes;
  }

  long[] fours() {
    return fours;
  }

  int[] twos() {
    return twos;
  }

  /**
   * The id of an index.
   *
   * @throws IllegalArgumentException if there is none
   */
  short id(int index) {
    if (index < 0 || index >= ids.length) {
      throw new IllegalArgumentException(
          "index %d into a dictionary of %d values".formatted(index, ids.length));
    }

    return ids[index];
  }

  /**
   * Checks entries of {@link #fours} or {@link #twos} that were read, or-ed together.
   *
   * @throws IllegalArgumentException if one of them was for what is no index
   */
  void check(long seen) {
    if ((seen & MARKS) != 0) {
      throw new IllegalArgumentException(
          "an index beyond a dictionary of %d values".formatted(ids.length));
    }
  }
}

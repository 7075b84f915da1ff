package io.expertatlas.runtime;

import java.nio.ByteBuffer;
import java.util.List;

/**
 * Seeded BF16 numbers for models without a checkpoint: random signs, exponents of three
 * neighbouring powers of two, random mantissas; four from one 64-bit mix of seed and place. A
 * number depends on seed, exponent and place alone, so every device makes the same ones, a GPU
 * without a word from the host.
 *
 * @param name for messages
 * @param shape length of each axis, outermost first
 * @param seed of the numbers
 * @param exponent the largest numbers are below {@code 2^(exponent + 1)}
 * @param zeros so many elements from the first on are 0 instead
 */
public record RandomValues(String name, List<Long> shape, long seed, int exponent, long zeros)
    implements TensorData {
  /**
   * Root mean square of the numbers over {@code 2^exponent}: lowered by 0, 1, 1 or 2 powers of two,
   * mantissas even in [1, 2), whose mean square is 7/3.
   */
  private static final double ROOT_MEAN_SQUARE = Math.sqrt(7 / 3.0 * (1 + 2 / 4.0 + 1 / 16.0) / 4);

  private static final int LEAST_EXPONENT = -124; // two powers of two above the least normal number
  private static final int MOST_EXPONENT = 127;

  /**
   * Checks the numbers.
   *
   * @throws IllegalArgumentException if the exponent is none of BF16's, or zeros is negative
   */
  public RandomValues {
    if (exponent < LEAST_EXPONENT || exponent > MOST_EXPONENT || zeros < 0) {
      throw new IllegalArgumentException(
          "Invalid random values for %s: exponent %d (%d to %d), %d zeros"
              .formatted(name, exponent, LEAST_EXPONENT, MOST_EXPONENT, zeros));
    }

    shape = List.copyOf(shape);
  }

  /** Numbers of about this root mean square: exact to a factor below sqrt(2). */
  public static RandomValues ofSize(String name, List<Long> shape, long seed, double size) {
    return new RandomValues(
        name, shape, seed, (int) Math.round(Math.log(size / ROOT_MEAN_SQUARE) / Math.log(2)), 0);
  }

  /** The same with this many zeros at the beginning. */
  public RandomValues withZeros(long count) {
    return new RandomValues(name, shape, seed, exponent, count);
  }

  /** Root mean square of the numbers that are not zeroed. */
  public double rootMeanSquare() {
    return ROOT_MEAN_SQUARE * Math.pow(2, exponent);
  }

  @Override
  public DType type() {
    return DType.BF16;
  }

  @Override
  public void read(long firstElement, ByteBuffer into) {
    for (long i = firstElement; into.hasRemaining(); i++) {
      short bits = i < zeros ? 0 : bits(i);
      into.put((byte) bits).put((byte) (bits >> 8));
    }
  }

  private short bits(long i) {
    long mixed = mix(seed + (i >>> 2) * 0x9E3779B97F4A7C15L);
    int bits = (int) (mixed >>> 16 * (i & 3)) & 0xffff;
    int lower = (bits >> 7 & 1) + (bits >> 8 & 1); // of the 8 bits that sign and mantissa leave
    return (short) ((bits & 0x8000) | (exponent - lower + 127) << 7 | (bits & 0x7f));
  }

  /** Steele, Lea and Flood's mixer of SplittableRandom (variant 13 of Stafford). */
  private static long mix(long z) {
    z = (z ^ z >>> 30) * 0xbf58476d1ce4e5b9L;
    z = (z ^ z >>> 27) * 0x94d049bb133111ebL;
    return z ^ z >>> 31;
  }
}

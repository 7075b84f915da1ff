package io.expertatlas.runtime.synthetic;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.TensorData;
import java.nio.ByteBuffer;
import java.util.List;

/**
 * BF16 values with random signs, exponents of three neighbouring powers of two and random
 * mantissas: four of them from one 64-bit mix of seed and place, so that any part can be made
 * alone, and fast.
 *
 * @param name of the tensor
 * @param shape of it
 * @param seed of its values
 * @param exponent the largest values are below {@code 2^(exponent + 1)}
 */
record RandomTensor(String name, List<Long> shape, long seed, int exponent) implements TensorData {
  /**
   * Root mean square of the values over {@code 2^exponent}: lowered by 0, 1, 1 or 2 powers of two,
   * mantissas even in [1, 2), whose mean square is 7/3.
   */
  static final double ROOT_MEAN_SQUARE = Math.sqrt(7 / 3.0 * (1 + 2 / 4.0 + 1 / 16.0) / 4);

  /** Root mean square of the values. */
  double rootMeanSquare() {
    return ROOT_MEAN_SQUARE * Math.pow(2, exponent);
  }

  @Override
  public DType type() {
    return DType.BF16;
  }

  @Override
  public void read(long firstElement, ByteBuffer into) {
    for (long i = firstElement; into.hasRemaining(); i++) {
      long mixed = mix(seed + (i >>> 2) * 0x9E3779B97F4A7C15L);
      int bits = (int) (mixed >>> 16 * (i & 3)) & 0xffff;
      int lower =
          (bits >> 7 & 1) + (bits >> 8 & 1); // of the 8 bits that a sign and a mantissa leave
      short value = (short) ((bits & 0x8000) | (exponent - lower + 127) << 7 | (bits & 0x7f));
      into.put((byte) value).put((byte) (value >> 8));
    }
  }

  /** Steele, Lea and Flood's mixer of SplittableRandom (variant 13 of Stafford). */
  private static long mix(long z) {
    z = (z ^ z >>> 30) * 0xbf58476d1ce4e5b9L;
    z = (z ^ z >>> 27) * 0x94d049bb133111ebL;
    return z ^ z >>> 31;
  }
}

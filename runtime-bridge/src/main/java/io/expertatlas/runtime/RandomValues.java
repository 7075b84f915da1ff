package io.expertatlas.runtime;

import java.nio.ByteBuffer;
import java.util.List;

/**
 * Seeded numbers for models without a checkpoint: each the sum of four uniform ones, shifted and
 * scaled to a mean and a deviation. A number depends on the seed and its index alone, so every
 * device makes the same ones, a GPU without a word from the host.
 *
 * @param name for messages
 * @param shape length of each axis, outermost first
 * @param seed of the numbers
 * @param deviation standard deviation
 * @param mean mean
 */
public record RandomValues(String name, List<Long> shape, long seed, float deviation, float mean)
    implements TensorData {
  private static final float DEVIATION_OF_SUM = 1.7320508f; // times sqrt(1/3) is 1

  @Override
  public DType type() {
    return DType.F32;
  }

  @Override
  public void read(long firstElement, ByteBuffer into) {
    for (long i = firstElement; into.hasRemaining(); i++) {
      into.putFloat(value(i));
    }
  }

  /** The number at an index. */
  public float value(long index) {
    float sum = 0;
    for (int j = 0; j < 4; j++) {
      long bits = mix(seed * 0x9e3779b97f4a7c15L + index * 4 + j) & 0xffffffffL;
      sum += (float) bits * (1 / 4294967296f);
    }

    return mean + deviation * (sum - 2) * DEVIATION_OF_SUM;
  }

  /** MurmurHash3's 64-bit finaliser. */
  private static long mix(long value) {
    long x = value;
    x = (x ^ x >>> 33) * 0xff51afd7ed558ccdL;
    x = (x ^ x >>> 33) * 0xc4ceb9fe1a85ec53L;
    return x ^ x >>> 33;
  }
}

package io.expertatlas.runtime.train;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.TensorData;
import io.expertatlas.runtime.WeightSource;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Weights to start from: gains of norms 1, biases 0, all else normal with deviation 0.02, by seed
 * and name.
 */
public record InitialWeights(long seed) implements WeightSource {
  private static final double DEVIATION = 0.02;
  private static final int PIECE = 1024; // numbers of one generator

  @Override
  public TensorData tensor(String name, long... shape) {
    return new Values(
        name, Arrays.stream(shape).boxed().toList(), seed * 1_000_003 + name.hashCode());
  }

  private record Values(String name, List<Long> shape, long seed) implements TensorData {
    @Override
    public DType type() {
      return DType.F32;
    }

    @Override
    public void read(long firstElement, ByteBuffer into) {
      if (name.endsWith("bias") || name.endsWith("norm.weight")) {
        while (into.remaining() >= Float.BYTES) {
          into.putFloat(name.endsWith("bias") ? 0 : 1);
        }

        return;
      }

      for (long at = firstElement; into.remaining() >= Float.BYTES; ) {
        SplittableRandom random = new SplittableRandom(seed * 1_000_003 + at / PIECE);
        for (long before = at / PIECE * PIECE; before < at; before++) {
          random.nextGaussian();
        }

        long end = (at / PIECE + 1) * PIECE;
        for (; at < end && into.remaining() >= Float.BYTES; at++) {
          into.putFloat((float) (DEVIATION * random.nextGaussian()));
        }
      }
    }
  }
}

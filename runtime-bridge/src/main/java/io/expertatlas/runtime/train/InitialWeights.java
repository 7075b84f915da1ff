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
      for (long i = firstElement; into.remaining() >= Float.BYTES; i++) {
        into.putFloat(number(i));
      }
    }

    private float number(long i) {
      if (name.endsWith("bias")) {
        return 0;
      }

      return name.endsWith("norm.weight")
          ? 1
          : (float) (DEVIATION * new SplittableRandom(seed + i).nextGaussian());
    }
  }
}

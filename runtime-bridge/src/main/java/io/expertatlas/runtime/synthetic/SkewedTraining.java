package io.expertatlas.runtime.synthetic;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.TensorData;
import io.expertatlas.runtime.WeightSource;
import io.expertatlas.runtime.train.InitialWeights;
import io.expertatlas.runtime.train.PostNormConfig;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Weights of a generalized model to start from, whose routers choose with a given concentration:
 * the sum of squared shares of a layer's experts. Which experts are popular is drawn for each
 * layer.
 *
 * <p>A router is given normed rows, of mean 0 and variance 1, plus the norm's bias, which is 1
 * here. Its rows are normal of deviation {@code 1 / sqrt(H)} and sum 0, so that logits are normal
 * of variance 1, plus a constant, which the bias turns into one of the logit. Embeddings are large,
 * so that tokens differ by more than their positions. What attention and experts add is small, else
 * tokens grow alike from layer to layer, and choose alike.
 */
public final class SkewedTraining implements WeightSource {
  private static final float SPREAD = 200; // of embeddings, whose deviation is 0.02 else

  private final PostNormConfig config;
  private final InitialWeights others;
  private final long seed;
  private final double[] biases; // [rank]

  /**
   * Weights of a seed.
   *
   * @param skew the sum of squared shares, from 1 / experts to 1 / top-k
   * @throws IllegalArgumentException if it cannot be reached
   */
  public SkewedTraining(PostNormConfig config, double skew, long seed) {
    this.config = config;
    this.others = new InitialWeights(seed);
    this.seed = seed;
    this.biases =
        Popularity.biases(
            Popularity.ofConcentration(config.experts(), config.topK(), skew), config.topK(), seed);
  }

  @Override
  public TensorData tensor(String name, long... shape) {
    if (name.endsWith("attention.norm.bias")) {
      float[] ones = new float[config.hidden()];
      Arrays.fill(ones, 1);
      return new Values(name, Arrays.stream(shape).boxed().toList(), ones);
    }

    if (name.equals("embedding.weight")) {
      return new Scaled(others.tensor(name, shape), SPREAD);
    }

    if (name.endsWith("attention.output.weight") || name.endsWith("down.weight")) {
      return new Scaled(others.tensor(name, shape), 1f / config.layers());
    }

    return name.endsWith("router.weight")
        ? new Values(name, Arrays.stream(shape).boxed().toList(), router(name))
        : others.tensor(name, shape);
  }

  private float[] router(String name) {
    SplittableRandom random = new SplittableRandom(seed * 1_000_003 + name.hashCode());
    int experts = config.experts();
    int hidden = config.hidden();
    int[] ranks = new int[experts];
    for (int e = 0; e < experts; e++) {
      int other = random.nextInt(e + 1);
      ranks[e] = ranks[other];
      ranks[other] = e;
    }

    float[] weights = new float[experts * hidden];
    for (int e = 0; e < experts; e++) {
      double mean = 0;
      for (int i = 0; i < hidden; i++) {
        weights[e * hidden + i] = (float) (random.nextGaussian() / Math.sqrt(hidden));
        mean += weights[e * hidden + i] / hidden;
      }

      for (int i = 0; i < hidden; i++) {
        weights[e * hidden + i] += (float) (biases[ranks[e]] / hidden - mean);
      }
    }

    return weights;
  }

  /** Another's numbers times a factor. */
  private record Scaled(TensorData numbers, float factor) implements TensorData {
    @Override
    public String name() {
      return numbers.name();
    }

    @Override
    public DType type() {
      return numbers.type();
    }

    @Override
    public List<Long> shape() {
      return numbers.shape();
    }

    @Override
    public void read(long firstElement, ByteBuffer into) {
      int first = into.position();
      numbers.read(firstElement, into);
      for (int at = first; at < into.position(); at += Float.BYTES) {
        into.putFloat(at, factor * into.getFloat(at));
      }
    }
  }

  private record Values(String name, List<Long> shape, float[] numbers) implements TensorData {
    @Override
    public DType type() {
      return DType.F32;
    }

    @Override
    public void read(long firstElement, ByteBuffer into) {
      for (int i = (int) firstElement; into.remaining() >= Float.BYTES; i++) {
        into.putFloat(numbers[i]);
      }
    }
  }
}

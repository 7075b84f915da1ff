package io.expertatlas.runtime.synthetic;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.MixtralConfig;
import io.expertatlas.runtime.RandomValues;
import io.expertatlas.runtime.TensorData;
import io.expertatlas.runtime.WeightSource;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Random weights of a Mixtral shape whose routers choose experts as often as asked for.
 *
 * <p>Every embedding has the same large number sqrt(H) in place 0, which all blocks leave alone and
 * which, normed, is still by far the largest. A router's weight at place 0 is then a bias; its
 * other weights make noise of variance 1 that depends on the token. {@link Popularity} finds the
 * biases. The blocks write little into the residual stream, so that this holds in every layer.
 */
public final class RandomWeights implements WeightSource {
  private final MixtralConfig config;
  private final double[][] biases; // [layer][expert]
  private final long seed;

  /**
   * Plans weights.
   *
   * @param popularity share of a layer's choices that an expert gets, {@code [layer][expert]}
   * @param seed of everything
   */
  public RandomWeights(MixtralConfig config, double[][] popularity, long seed) {
    this.config = config;
    this.seed = seed;
    this.biases = new double[config.layers()][];
    for (int layer = 0; layer < config.layers(); layer++) {
      biases[layer] = Popularity.biases(popularity[layer], config.topK(), seed);
    }
  }

  @Override
  public TensorData tensor(String name, long... shape) {
    List<Long> list = Arrays.stream(shape).boxed().toList();
    long own = seed * 0x9E3779B97F4A7C15L + name.hashCode();
    if (name.endsWith("norm.weight")) {
      return filled(name, list, i -> 1);
    }

    if (name.equals("model.embed_tokens.weight")) {
      return new Overwritten(embedding(), config.hidden(), Math.sqrt(config.hidden()));
    }

    if (name.endsWith("gate.weight")) {
      int layer = Integer.parseInt(name.split("\\.")[2]);
      SplittableRandom random = new SplittableRandom(own);
      double[] noise = random.doubles((long) config.experts() * config.hidden()).toArray();
      double bias = Math.sqrt(config.hidden()) * normed();
      double deviation = 1 / (embedding().rootMeanSquare() * normed() * Math.sqrt(config.hidden()));
      return filled(
          name,
          list,
          i ->
              i % config.hidden() == 0
                  ? biases[layer][(int) (i / config.hidden())] / bias
                  : (noise[(int) i] - 0.5) * Math.sqrt(12) * deviation);
    }

    boolean intoResidual = name.endsWith("o_proj.weight") || name.endsWith("w2.weight");
    RandomValues values =
        RandomValues.ofSize(
            name, list, own, (intoResidual ? 0.02 : 1) / Math.sqrt(shape[shape.length - 1]));
    return intoResidual ? values.withZeros(shape[1]) : values;
  }

  private RandomValues embedding() {
    List<Long> shape = List.of((long) config.vocabulary(), (long) config.hidden());
    return RandomValues.ofSize("model.embed_tokens.weight", shape, seed, 1);
  }

  /** What RMSNorm multiplies an embedding by. */
  private double normed() {
    double size = embedding().rootMeanSquare();
    return 1 / Math.sqrt(1 + size * size);
  }

  private static TensorData filled(String name, List<Long> shape, Values values) {
    return new Computed(name, shape, values);
  }

  /** One value by its index. */
  private interface Values {
    double at(long index);
  }

  /** F32 values computed one by one: for small tensors. */
  private record Computed(String name, List<Long> shape, Values values) implements TensorData {
    @Override
    public DType type() {
      return DType.F32;
    }

    @Override
    public void read(long firstElement, ByteBuffer into) {
      for (long i = firstElement; into.hasRemaining(); i++) {
        into.putFloat((float) values.at(i));
      }
    }
  }

  /** A tensor whose every row begins with the same number. */
  private record Overwritten(RandomValues values, long width, double first) implements TensorData {
    @Override
    public String name() {
      return values.name();
    }

    @Override
    public DType type() {
      return values.type();
    }

    @Override
    public List<Long> shape() {
      return values.shape();
    }

    @Override
    public void read(long firstElement, ByteBuffer into) {
      int start = into.position();
      int count = into.remaining() / DType.BF16.bytes();
      values.read(firstElement, into);
      long next = (firstElement + width - 1) / width * width;
      short bits = (short) (Float.floatToIntBits((float) first) >> 16);
      for (long i = next - firstElement; i < count; i += width) {
        into.put(start + (int) i * 2, (byte) bits).put(start + (int) i * 2 + 1, (byte) (bits >> 8));
      }
    }
  }

  /**
   * Shares of experts that fall as a power of their rank, dealt to the experts anew in each layer.
   *
   * @param gini inequality of the shares: 0 all equal; the largest possible is below {@code 1 - k /
   *     experts}, as an expert gets at most one of a token's k choices
   */
  public static double[][] popularity(MixtralConfig config, double gini, long seed) {
    double[] sorted = Popularity.ofGini(config.experts(), config.topK(), gini);
    SplittableRandom random = new SplittableRandom(seed);
    double[][] popularity = new double[config.layers()][];
    for (int layer = 0; layer < config.layers(); layer++) {
      double[] dealt = sorted.clone();
      for (int e = dealt.length - 1; e > 0; e--) {
        int other = random.nextInt(e + 1);
        double kept = dealt[e];
        dealt[e] = dealt[other];
        dealt[other] = kept;
      }

      popularity[layer] = dealt;
    }

    return popularity;
  }

  /**
   * Shares of experts as they were counted. Layers are taken by their position: layer l of L
   * follows the counted layer at {@code floor(l * counted / L)}.
   *
   * @param choices how often each expert was chosen, {@code [counted layer][expert]}, at least once
   *     a layer
   * @throws IllegalArgumentException if there are other experts, or one has more than {@code 1 / k}
   *     of its layer's choices: an expert gets at most one of a token's k choices
   */
  public static double[][] popularity(MixtralConfig config, long[][] choices) {
    double most = 1.0 / config.topK();
    double[][] popularity = new double[config.layers()][config.experts()];
    for (int layer = 0; layer < config.layers(); layer++) {
      int from = (int) ((long) layer * choices.length / config.layers());
      if (choices[from].length != config.experts()) {
        throw new IllegalArgumentException(
            "Invalid popularity: of %d experts, the model has %d"
                .formatted(choices[from].length, config.experts()));
      }

      long all = Arrays.stream(choices[from]).sum();
      for (int e = 0; e < config.experts(); e++) {
        popularity[layer][e] = (double) choices[from][e] / all;
        if (popularity[layer][e] > most) {
          throw new IllegalArgumentException(
              "Invalid popularity: expert %d of layer %d has %.4f of the choices, with top-%d at most %.4f"
                  .formatted(e, from, popularity[layer][e], config.topK(), most));
        }
      }
    }

    return popularity;
  }
}

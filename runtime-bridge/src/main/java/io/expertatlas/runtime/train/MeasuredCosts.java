package io.expertatlas.runtime.train;

import io.expertatlas.runtime.cpu.DoubleProducts;
import io.expertatlas.runtime.matrix.DoubleDevice;
import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.MatrixDevice;
import io.expertatlas.runtime.pipeline.ExpertCosts;
import io.expertatlas.runtime.pipeline.TokenCurve;
import java.util.Arrays;
import java.util.IdentityHashMap;
import java.util.Map;
import java.util.SplittableRandom;

/**
 * What the pieces of a layer take on this machine, timed once with an expert of the model's first
 * layer. A logical device is as fast as the CPU. Only the split depends on it, never a result.
 */
public final class MeasuredCosts implements ExpertCosts {
  private static final int[] COUNTS = {1, 4, 16, 64, 256};
  private static final int ROUNDS = 5;

  private final TokenCurve forward;
  private final TokenCurve backward;
  private final double loadExpertNanos;
  private final double loadBaseNanos;

  private MeasuredCosts(
      TokenCurve forward, TokenCurve backward, double loadExpertNanos, double loadBaseNanos) {
    this.forward = forward;
    this.backward = backward;
    this.loadExpertNanos = loadExpertNanos;
    this.loadBaseNanos = loadBaseNanos;
  }

  /** Times an expert of a model; gradients and parameters stay as they are. */
  public static MeasuredCosts of(TrainableModel model) {
    DoubleProducts.useOneThread();
    Layer layer = model.layers().get(0);
    Block expert = layer.experts().get(0);
    double[][] there = new double[COUNTS.length][ROUNDS];
    double[][] back = new double[COUNTS.length][ROUNDS];
    for (int point = 0; point < COUNTS.length; point++) {
      Matrix x = random(COUNTS[point], model.hidden());
      for (int round = -1; round < ROUNDS; round++) { // the first one warms up
        Copies copies = new Fresh();
        long begin = System.nanoTime();
        ExpertMath.Tape tape = layer.math().forward(x, expert.parameters(), copies);
        long middle = System.nanoTime();
        layer.math().backward(tape, x, expert.parameters(), copies);
        long end = System.nanoTime();
        if (round >= 0) {
          there[point][round] = Math.max(1, middle - begin);
          back[point][round] = Math.max(1, end - middle);
        }
      }
    }

    return new MeasuredCosts(
        TokenCurve.of(COUNTS, there).monotone(),
        TokenCurve.of(COUNTS, back).monotone(),
        load(expert),
        load(layer.attention()) + load(layer.gate()));
  }

  private static Matrix random(int rows, int columns) {
    SplittableRandom random = new SplittableRandom(1);
    double[] values = new double[rows * columns];
    Arrays.setAll(values, i -> random.nextDouble() - 0.5);
    return DoubleDevice.INSTANCE.of(rows, columns, values);
  }

  private static double load(Block block) {
    double[] samples = new double[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
      long begin = System.nanoTime();
      block.parameters().forEach(MeasuredCosts::copy);
      samples[round] = Math.max(1, System.nanoTime() - begin);
    }

    return TokenCurve.median(samples);
  }

  private static Matrix copy(Parameter parameter) {
    return DoubleDevice.INSTANCE.load(parameter.value(), parameter.rows(), parameter.columns());
  }

  /** Copies made when they are asked for, as the CPU's experts have them. */
  private static final class Fresh implements Copies {
    private final Map<Parameter, Matrix> gradients = new IdentityHashMap<>();

    @Override
    public MatrixDevice device() {
      return DoubleDevice.INSTANCE;
    }

    @Override
    public Matrix value(Parameter parameter) {
      return copy(parameter);
    }

    @Override
    public Matrix gradient(Parameter parameter) {
      return gradients.computeIfAbsent(parameter, one -> device().zeros(one.rows(), one.columns()));
    }
  }

  @Override
  public double cpuNanos(int tokens, boolean isBackward) {
    return (isBackward ? backward : forward).nanos(tokens);
  }

  @Override
  public double gpuNanos(int tokens, boolean isBackward) {
    return cpuNanos(tokens, isBackward);
  }

  @Override
  public double loadExpertNanos() {
    return loadExpertNanos;
  }

  @Override
  public double loadBaseNanos() {
    return loadBaseNanos;
  }
}

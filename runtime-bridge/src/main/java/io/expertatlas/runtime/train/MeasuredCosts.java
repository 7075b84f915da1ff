package io.expertatlas.runtime.train;

import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.MatrixDevice;
import io.expertatlas.runtime.pipeline.ExpertCosts;
import io.expertatlas.runtime.pipeline.TokenCurve;
import java.util.List;

/**
 * What the pieces of a layer take on this machine, timed once with an expert of the model's first
 * layer: on the CPU beside a device, on the device, and on the way there. Only the split depends on
 * it, never a result.
 */
public final class MeasuredCosts implements ExpertCosts {
  private static final int[] COUNTS = {1, 4, 16, 64, 256, 1024};
  private static final int ROUNDS = 5;

  /** Times of an expert on one device. */
  private record Curves(TokenCurve forward, TokenCurve backward) {
    double nanos(int tokens, boolean isBackward) {
      return (isBackward ? backward : forward).nanos(tokens);
    }
  }

  private final Curves cpu;
  private final Curves gpu;
  private final double loadExpertNanos;
  private final double loadBaseNanos;

  private MeasuredCosts(Curves cpu, Curves gpu, double loadExpertNanos, double loadBaseNanos) {
    this.cpu = cpu;
    this.gpu = gpu;
    this.loadExpertNanos = loadExpertNanos;
    this.loadBaseNanos = loadBaseNanos;
  }

  /**
   * Times an expert of a model; gradients and parameters stay as they are.
   *
   * @param cpuThreads that compute an expert on the CPU beside devices of another kind
   * @throws InterruptedException if the thread is interrupted
   */
  public static MeasuredCosts of(TrainableModel model, Backend backend, int cpuThreads)
      throws InterruptedException {
    backend.useThreads(cpuThreads);
    MatrixDevice device = backend.devices().get(0);
    BlockTimes loads = new BlockTimes(device, new Stopwatch(ROUNDS));
    Layer layer = model.layers().get(0);
    Block expert = layer.experts().get(0);
    if (backend.cpu() != device) {
      try (ProfileCopies copies = ProfileCopies.beside(device, backend.cpu())) {
        FewRows.warmUp(model, List.of(expert), copies, Integer.MAX_VALUE);
      }
    }

    return new MeasuredCosts(
        curves(model, ProfileCopies.beside(device, backend.cpu()), false),
        curves(model, new ProfileCopies(device, List.of(expert)), backend.recomputes()),
        TokenCurve.median(loads.load(layer.experts().subList(0, 1))),
        TokenCurve.median(loads.load(List.of(layer.attention())))
            + TokenCurve.median(loads.load(List.of(layer.gate()))));
  }

  @SuppressWarnings("try") // scopes are there to be closed
  private static Curves curves(TrainableModel model, ProfileCopies copies, boolean recomputes)
      throws InterruptedException {
    MatrixDevice device = copies.device();
    Layer layer = model.layers().get(0);
    Block expert = layer.experts().get(0);
    double[][] there = new double[COUNTS.length][ROUNDS];
    double[][] back = new double[COUNTS.length][ROUNDS];
    try (copies) {
      for (int point = 0; point < COUNTS.length; point++) {
        for (int round = -1; round < ROUNDS; round++) { // the first one warms up
          try (MatrixDevice.Scope scope = device.scope()) {
            Matrix x = LayerProfiler.random(device, COUNTS[point], model.hidden());
            device.synchronize();
            long begin = System.nanoTime();
            ExpertMath.Tape tape = layer.math().inner(x, expert.parameters(), copies);
            device.synchronize();
            final long inner = System.nanoTime();
            layer.math().output(tape, expert.parameters(), copies);
            device.synchronize();
            final long made = System.nanoTime();
            layer.math().backward(tape, x, expert.parameters(), copies);
            device.synchronize();
            long end = System.nanoTime();
            if (round >= 0) {
              there[point][round] = Math.max(1, made - begin);
              back[point][round] = Math.max(1, end - made + (recomputes ? inner - begin : 0));
            }
          }
        }
      }
    }

    return new Curves(
        TokenCurve.of(COUNTS, there).monotone(), TokenCurve.of(COUNTS, back).monotone());
  }

  @Override
  public double cpuNanos(int tokens, boolean isBackward) {
    return cpu.nanos(tokens, isBackward);
  }

  @Override
  public double gpuNanos(int tokens, boolean isBackward) {
    return gpu.nanos(tokens, isBackward);
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

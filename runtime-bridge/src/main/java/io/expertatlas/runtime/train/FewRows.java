package io.expertatlas.runtime.train;

import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.MatrixDevice;
import java.util.Arrays;
import java.util.List;
import java.util.function.BooleanSupplier;

/**
 * Few rows of experts, one expert after the other: keeps a CPU busy, or lets its loops be compiled
 * before they are timed. Not always as many rows: what was compiled for one number of them is slow
 * for another until it is compiled anew.
 */
final class FewRows {
  private static final int MOST = 16;
  private static final long STEADY_NANOS = 500_000_000; // until loops are compiled

  private FewRows() {}

  /** Computes until loops are compiled. */
  static void warmUp(TrainableModel model, List<Block> experts, ProfileCopies copies, int mostRows)
      throws InterruptedException {
    long begin = System.nanoTime();
    compute(model, experts, copies, mostRows, () -> System.nanoTime() - begin < STEADY_NANOS);
  }

  /**
   * Computes forward and backward of experts of a model's first layer, again and again.
   *
   * @param copies where they are computed, and what with
   * @param mostRows of an expert, if fewer than a few
   */
  @SuppressWarnings("try") // scopes are there to be closed
  static void compute(
      TrainableModel model,
      List<Block> experts,
      ProfileCopies copies,
      int mostRows,
      BooleanSupplier goesOn)
      throws InterruptedException {
    ExpertMath math = model.layers().get(0).math();
    MatrixDevice device = copies.device();
    try (MatrixDevice.Scope all = device.scope()) {
      List<Matrix> inputs =
          Arrays.stream(LayerProfiler.grid(Math.min(MOST, mostRows)))
              .mapToObj(rows -> LayerProfiler.random(device, rows, model.hidden()))
              .toList();
      for (int i = 0; goesOn.getAsBoolean(); i++) {
        try (MatrixDevice.Scope scope = device.scope()) {
          Matrix x = inputs.get(i % inputs.size());
          List<Parameter> expert = experts.get(i % experts.size()).parameters();
          ExpertMath.Tape tape = math.inner(x, expert, copies);
          math.output(tape, expert, copies);
          math.backward(tape, x, expert, copies);
        }
      }
    }
  }
}
